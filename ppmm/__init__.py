"""ppmm: a PaddlePaddle toolkit for models that take image, text and audio together.

Importing it sets what Paddle needs on this CPU (`ppmm.environment`) and logs one line where the installed versions
are not the tested ones; ``logging.getLogger("ppmm").setLevel("ERROR")`` before the import silences that line.
"""

import logging

from ppmm import environment, versions
from ppmm.errors import CheckpointError, CompressError, ConfigError, DataError, ExportError, PpmmError

__all__ = [
    "CheckpointError",
    "CompressError",
    "ConfigError",
    "DataError",
    "ExportError",
    "PpmmError",
    "__version__",
]

__version__ = "0.1.0"

environment.prepare()

_warning = versions.version_warning()
if _warning is not None:
    logging.getLogger(__name__).warning(_warning)
