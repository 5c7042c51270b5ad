"""Data sets that ppmm makes from small packaged sources, without a network."""

from ppmm.data.make.digits_qa import make_digits_qa
from ppmm.data.make.digits_scenes import make_digits_scenes

__all__ = ["make_digits_qa", "make_digits_scenes"]
