"""Samplers: in which order the rows of an epoch of training come, and how often each."""

from ppmm.registry import import_modules

__all__: list[str] = []

import_modules(__name__, __path__)
