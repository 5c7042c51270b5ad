"""Encoders, fusions, heads and the architectures that join them; importing this package registers them all."""

from ppmm.models import encoders, fusion, heads, layers
from ppmm.registry import import_modules

__all__ = ["encoders", "fusion", "heads", "layers"]

import_modules(__name__, __path__)
