"""Pretrained text models: equal to PaddleNLP's own, strict about what the folder holds, self-contained checkpoints."""

import json
import shutil

import numpy as np
import paddle
import pytest

from ppmm.errors import ConfigError
from ppmm.models.encoders.paddlenlp import PaddleNLPEncoder
from ppmm.registry import ENCODERS

IDS = [[2, 5, 7, 3, 0], [2, 9, 3, 0, 0], [2, 0, 0, 8, 3]]
LENGTHS = [4, 3, 5]


def batch():
    mask = np.arange(5)[None] < np.array(LENGTHS)[:, None]
    return paddle.to_tensor(IDS), paddle.to_tensor(mask)


def original(folder):
    from paddlenlp.transformers import AutoModel

    model = AutoModel.from_pretrained(str(folder))
    model.eval()
    return model


def encoder_of(folder, **arguments):
    paddle.seed(0)
    encoder = PaddleNLPEncoder(30, str(folder), **arguments)
    encoder.eval()
    return encoder


def test_tokens_are_those_of_automodel(tiny_bert):
    wanted = original(tiny_bert)
    found = encoder_of(tiny_bert)(*batch())
    for row, length in enumerate(LENGTHS):
        alone = wanted(paddle.to_tensor([IDS[row][:length]]), attention_mask=paddle.ones([1, length]))[0].numpy()[0]
        np.testing.assert_allclose(found.tokens.numpy()[row, :length], alone, atol=1e-5)
        np.testing.assert_allclose(found.pooled.numpy()[row], alone[0], atol=1e-5)
        assert not found.tokens.numpy()[row, length:].any()
    assert found.tokens.numpy().std() > 0.1


def test_mean_and_attention_pooling(tiny_bert):
    tokens = encoder_of(tiny_bert)(*batch()).tokens.numpy()
    mean = encoder_of(tiny_bert, pooling="mean")(*batch()).pooled.numpy()
    attentive = encoder_of(tiny_bert, pooling="attention")
    pooled = attentive(*batch())
    wanted = attentive.attention(pooled.tokens, pooled.token_mask).numpy()
    for row, length in enumerate(LENGTHS):
        np.testing.assert_allclose(mean[row], tokens[row, :length].mean(0), atol=1e-6)
    np.testing.assert_allclose(pooled.pooled.numpy(), wanted, atol=1e-6)


@pytest.mark.parametrize("model", ["Ernie", "Roberta"])
def test_other_models(model, tmp_path):
    from paddlenlp import transformers

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = getattr(transformers, f"{model}Config")(vocab_size=30, max_position_embeddings=16, **sizes)
    getattr(transformers, f"{model}Model")(config).save_pretrained(str(tmp_path), safe_serialization=True)
    ids, mask = batch()
    wanted = original(tmp_path)(ids, attention_mask=mask.astype("int64"))[0].numpy()
    found = encoder_of(tmp_path)(ids, mask)
    np.testing.assert_allclose(found.tokens.numpy()[mask.numpy()], wanted[mask.numpy()], atol=1e-5)


def test_weights_of_a_model_with_a_task_head(tmp_path):
    from paddlenlp.transformers import BertConfig, BertForSequenceClassification

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=30, max_position_embeddings=16, **sizes)
    trained = BertForSequenceClassification(config)
    trained.eval()
    trained.save_pretrained(str(tmp_path), safe_serialization=True)
    ids, mask = batch()
    wanted = trained.bert(ids, attention_mask=mask.astype("int64"))[0].numpy()
    found = encoder_of(tmp_path)(ids, mask).tokens.numpy()
    np.testing.assert_allclose(found[mask.numpy()], wanted[mask.numpy()], atol=1e-5)


def test_frozen(tiny_bert):
    encoder = encoder_of(tiny_bert, trainable=False, pooling="attention")
    trained = [name for name, parameter in encoder.named_parameters() if not parameter.stop_gradient]
    assert trained and all(name.startswith("attention.") for name in trained)


def test_a_folder_that_is_not_there_says_what_to_download(tmp_path):
    with pytest.raises(ConfigError, match=r"no folder .*bert-base-uncased") as caught:
        PaddleNLPEncoder(30, str(tmp_path / "bert-base-uncased"))
    message = str(caught.value)
    assert "from_pretrained('bert-base-uncased').save_pretrained" in message
    assert "ppmm downloads nothing" in message and "model.safetensors" in message


def test_pickled_weights_are_refused(tiny_bert, tmp_path):
    shutil.copy(tiny_bert / "config.json", tmp_path)
    (tmp_path / "model_state.pdparams").write_bytes(b"cos\nsystem\n")
    with pytest.raises(ConfigError, match=r"has no model\.safetensors.*reads no pickle"):
        PaddleNLPEncoder(30, str(tmp_path))


def changed(folder, to, **values):
    settings = {**json.loads((folder / "config.json").read_text()), **values}
    (to / "config.json").write_text(json.dumps(settings))
    shutil.copy(folder / "model.safetensors", to)
    return str(to)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_hidden_layers": 3}, r"does not fit its config.json: encoder\.layers\.2\S+ should be .* not there"),
        ({"max_position_embeddings": 65}, r"should be \[65, 8\], but it is \[64, 8\]"),
        ({"architectures": []}, "names no architectures"),
        ({"architectures": ["NoSuch"]}, "cannot build"),
    ],
)
def test_files_that_do_not_fit(tiny_bert, tmp_path, values, message):
    with pytest.raises(ConfigError, match=message):
        PaddleNLPEncoder(30, changed(tiny_bert, tmp_path, **values))


def test_damaged_files(tiny_bert, tmp_path):
    changed(tiny_bert, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="cannot read"):
        PaddleNLPEncoder(30, str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot read"):
        PaddleNLPEncoder(30, str(tmp_path))


def test_weights_of_pytorch_are_refused(tiny_bert, tmp_path):
    from safetensors.numpy import load_file, save_file

    changed(tiny_bert, tmp_path)
    save_file(load_file(tiny_bert / "model.safetensors"), tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ConfigError, match="PyTorch"):
        PaddleNLPEncoder(30, str(tmp_path))


def test_another_tokenizer_is_refused(tiny_bert):
    with pytest.raises(ConfigError, match="knows 30 tokens, but the field's tokenizer has 31"):
        PaddleNLPEncoder(31, str(tiny_bert))


def test_settings_take_the_place_of_the_folder(tiny_bert):
    trained = encoder_of(tiny_bert)
    settings = json.loads(json.dumps(trained.settings))
    rebuilt = ENCODERS.get("paddlenlp")(30, "gone", settings=settings)
    rebuilt.set_state_dict(trained.state_dict())
    rebuilt.eval()
    assert np.array_equal(rebuilt(*batch()).tokens.numpy(), trained(*batch()).tokens.numpy())
