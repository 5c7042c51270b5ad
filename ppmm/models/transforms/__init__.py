"""Changes of a built model that a checkpoint replays; importing this package registers them all."""

from ppmm.registry import import_modules

__all__: list[str] = []

import_modules(__name__, __path__)
