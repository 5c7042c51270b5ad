"""Answers from a bundle: no training code, no preprocessing of its own."""

from ppmm.runtime.predictor import Predictor, PredictorPool

__all__ = ["Predictor", "PredictorPool"]
