"""Raw values -> arrays -> padded batches: one Field per kind of input, the same objects in training and in serving."""

from ppmm.modalities.audio import LogMel, Mfcc
from ppmm.modalities.fbank import Fbank
from ppmm.modalities.image import ImageField
from ppmm.modalities.label import Label
from ppmm.modalities.numeric import NumericField
from ppmm.modalities.text import TextField
from ppmm.modalities.tokenizer import CharacterTokenizer, WordTokenizer
from ppmm.modalities.waveform import Waveform
from ppmm.registry import import_modules

__all__ = [
    "CharacterTokenizer",
    "Fbank",
    "ImageField",
    "Label",
    "LogMel",
    "Mfcc",
    "NumericField",
    "TextField",
    "Waveform",
    "WordTokenizer",
]

import_modules(__name__, __path__)
