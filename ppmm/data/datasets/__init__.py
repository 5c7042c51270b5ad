"""Data sets: rows of raw samples, one kind of source per file."""

from ppmm.data.datasets.av_mnist import AvMnist
from ppmm.data.datasets.manifest import Manifest
from ppmm.registry import import_modules

__all__ = ["AvMnist", "Manifest"]

import_modules(__name__, __path__)
