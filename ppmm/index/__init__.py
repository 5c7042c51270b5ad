"""Nearest neighbours among embeddings, by faiss; reads and writes no model."""

from ppmm.index.vector_index import Hit, VectorIndex

__all__ = ["Hit", "VectorIndex"]
