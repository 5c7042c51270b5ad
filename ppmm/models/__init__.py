"""Encoders, trunks, fusions, heads and the architectures that join them; importing this package registers them all."""

from ppmm.models import encoders, fusion, heads, layers, trunks
from ppmm.registry import import_modules

__all__ = ["encoders", "fusion", "heads", "layers", "trunks"]

import_modules(__name__, __path__)
