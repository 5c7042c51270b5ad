"""The one training loop, evaluation, hooks and checkpoints: objects in, never a config."""

from ppmm.registry import import_modules

__all__: list[str] = []

import_modules(__name__, __path__)
