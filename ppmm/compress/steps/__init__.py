"""The steps of ``compress:``, one per file; importing this package registers them all."""

from ppmm.registry import import_modules

__all__: list[str] = []

import_modules(__name__, __path__)
