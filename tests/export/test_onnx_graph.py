"""ONNX graphs answer as the trained model does, whatever the lengths of a batch."""

import numpy as np
import onnx
import paddle
import pytest
from paddle import nn

from ppmm.errors import ExportError
from ppmm.export.onnx_graph import write_onnx
from ppmm.models.encoders.cnn import CNN
from ppmm.models.encoders.text_rnn import BiGRU, BiLSTM
from ppmm.models.encoders.text_transformer import TextTransformer
from ppmm.models.fusion.concat import ConcatFusion
from ppmm.models.heads.linear import LinearHead
from ppmm.models.late_fusion import LateFusion
from ppmm.runtime.onnx_graph import OnnxGraph
from ppmm.types import FieldSpec

SPECS = {
    "image": FieldSpec((None, 3, 16, 16), "float32"),
    "has_image": FieldSpec((None,), "bool"),
    "text": FieldSpec((None, None), "int64"),
    "text_mask": FieldSpec((None, None), "bool"),
    "has_text": FieldSpec((None,), "bool"),
}
LENGTHS = [7, 1, 0, 4]


def model_with(text):
    paddle.seed(1)
    image = CNN(in_channels=3, channels=[4, 8])
    fusion = ConcatFusion({"image": image.out_dim, "text": text.out_dim}, dim=8)
    model = LateFusion({"image": image, "text": text}, fusion=fusion, head=LinearHead(8, 3))
    model.eval()
    return model


def batch_of(lengths):
    rng = np.random.default_rng(3)
    steps = max(lengths)
    mask = np.arange(steps) < np.array(lengths)[:, None]
    return {
        "image": rng.normal(size=(len(lengths), 3, 16, 16)).astype("float32"),
        "has_image": np.arange(len(lengths)) % 4 != 1,
        "text": np.where(mask, rng.integers(1, 20, (len(lengths), steps)), 0),
        "text_mask": mask,
        "has_text": mask.any(1),
    }


TEXTS = {
    "lstm": lambda: BiLSTM(20, dim=8, layers=2, dropout=0.0),
    "gru": lambda: BiGRU(20, dim=8, dropout=0.0),
    "transformer": lambda: TextTransformer(20, dim=8, layers=1, heads=2),
}


@pytest.mark.parametrize("text", TEXTS)
def test_rows_of_every_length_are_answered_alike(text, tmp_path):
    model = model_with(TEXTS[text]())
    write_onnx(model, SPECS, tmp_path / "main.onnx")
    graph = OnnxGraph(tmp_path / "main.onnx", sorted(model.outputs), threads=1)
    for lengths in (LENGTHS, [3], [2, 2]):
        batch = batch_of(lengths)
        wanted = model({name: paddle.to_tensor(array) for name, array in batch.items()})
        found = graph(batch)
        assert set(found) == set(model.outputs)
        for name, array in found.items():
            np.testing.assert_allclose(array, wanted[name].numpy(), atol=2e-6, err_msg=name)


@pytest.mark.parametrize(("text", "layers"), [("lstm", 2), ("gru", 1), ("transformer", 0)])
def test_each_recurrent_layer_is_given_the_lengths_of_its_mask(text, layers, tmp_path):
    write_onnx(model_with(TEXTS[text]()), SPECS, tmp_path / "main.onnx")
    nodes = onnx.load(str(tmp_path / "main.onnx")).graph.node
    recurrent = [node for node in nodes if node.op_type in ("LSTM", "GRU")]
    assert len(recurrent) == layers and all(node.input[4] == "sequence_lens.0" for node in recurrent)
    counted = [node for node in nodes if "sequence_lens.0" in node.output]
    assert len(counted) == (1 if layers else 0)


class Sorted(nn.Layer):
    """With an operator that paddle2onnx does not know."""

    outputs = ("logits",)

    def __init__(self):
        super().__init__()
        self.scale = nn.Linear(1, 1)

    def forward(self, batch):
        counts = paddle.bincount(batch["text"].flatten())
        return {"logits": self.scale(counts.astype("float32").unsqueeze(-1))}


def test_a_model_that_cannot_be_converted_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(ExportError, match="paddle2onnx cannot convert this model"):
        write_onnx(Sorted(), {"text": SPECS["text"]}, tmp_path / "main.onnx")
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_graph_is_refused(tmp_path):
    (tmp_path / "main.onnx").write_bytes(b"no graph")
    with pytest.raises(ExportError, match=r"ONNX Runtime cannot load main\.onnx"):
        OnnxGraph(tmp_path / "main.onnx", ["logits"], threads=1)
