"""Embeddings as answers."""

import numpy as np

from ppmm.decode.embeddings import embeddings


def test_only_the_fields_that_a_row_has():
    outputs = {
        "image_embed": np.array([[0.5, 0.25], [1.0, 0.0]], "float32"),
        "text_embed": np.array([[0.0, 0.0], [0.0, 1.0]], "float32"),
        "logits": np.ones((2, 3)),
    }
    batch = {"has_image": np.array([True, True]), "has_text": np.array([False, True])}
    assert embeddings(outputs, batch) == [{"image": [0.5, 0.25]}, {"image": [1.0, 0.0], "text": [0.0, 1.0]}]


def test_a_classifier_has_none():
    assert embeddings({"logits": np.ones((2, 3))}, {}) == []
