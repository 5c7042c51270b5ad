"""A smaller vocabulary: rows by hand, equal answers, refusals, and a checkpoint that comes back."""

import json

import numpy as np
import paddle
import pytest
from paddle import nn
from prunable import encoder, stirred
from step_context import FakeContext

from ppmm.app.transforms import replay_transforms, sizes_before
from ppmm.compress.prune import Prune
from ppmm.compress.steps.low_rank import LowRankStep
from ppmm.compress.steps.vocabulary import VocabularyStep
from ppmm.errors import CheckpointError, CompressError, ConfigError
from ppmm.modalities.text import TextField
from ppmm.modalities.tokenizer import WordTokenizer
from ppmm.models.transforms.vocabulary import Vocabulary

CORPUS = ["a a a a b b b c c d", "e f g h i j k l m n o p q r s t"]
# [PAD] 0 [UNK] 1 a 2 b 3 c 4 d 5 e 6 ... t 21
SEEN = ["a b a b", "c a e e e e e e", "t a c"]
# a 4 (2), b 2 (3), c 2 (4), e 6 (6), t 1 (21)


def field():
    tokenizer = WordTokenizer()
    tokenizer.fit(CORPUS)
    return TextField(tokenizer)


class Towers(nn.Layer):
    """A text tower."""

    def __init__(self, name="embedding_bag", **given):
        super().__init__()
        self.encoder = encoder(name, **{"vocab_size": 22, **given})
        self.head = nn.Linear(self.encoder.out_dim, 3)

    def forward(self, batch):
        return {"logits": self.head(self.encoder(batch["text"], batch["text_mask"]).pooled)}


def made(name="embedding_bag"):
    paddle.seed(2)
    return stirred(Towers(name))


def batch_of(text_field, texts):
    arrays = text_field.collate("text", [text_field(text) for text in texts])
    return {key: paddle.to_tensor(array) for key, array in arrays.items()}


def run(model, texts=SEEN, sample=("a b c", "t e a b"), **arguments):
    text_field = field()
    context = FakeContext(
        batch_of(text_field, sample), tokenizers={"text": text_field.tokenizer}, texts={"text": list(texts)}
    )
    return VocabularyStep(**arguments).apply(model, context), text_field


@pytest.mark.parametrize("name", ["embedding_bag", "text_transformer", "bilstm", "text_cnn"])
def test_texts_of_seen_tokens_have_the_same_answers(name):
    model, old = made(name), field()
    whole = model(batch_of(old, SEEN))["logits"].numpy()
    rows = dict(model.named_parameters())["encoder.embedding.weight"].numpy().copy()
    found, new = run(model)
    assert len(new.tokenizer) == 7 and model.encoder.embedding._size == [7, rows.shape[1]]
    np.testing.assert_array_equal(model.encoder.embedding.weight.numpy(), rows[[0, 1, 2, 3, 4, 6, 21]])
    np.testing.assert_allclose(model(batch_of(new, SEEN))["logits"].numpy(), whole, atol=1e-6)
    args = {"field": "text", "before": 22, "tables": {"encoder.embedding.weight": 7}}
    assert found.transforms == [
        {"name": "vocabulary", "args": args, "shapes": {"encoder.embedding.weight": [7, rows.shape[1]]}}
    ]
    assert found.report["tokens"] == [22, 7] and found.report["texts_changed"] == 0
    json.dumps(found.report)


def test_tokens_that_went_are_answered_as_unknown():
    model, old = made(), field()
    unknown = model(batch_of(old, ["a zzz"]))["logits"].numpy()
    _, new = run(model)
    np.testing.assert_allclose(model(batch_of(new, ["a d"]))["logits"].numpy(), unknown, atol=1e-6)


def test_how_many_and_which_tokens_stay(tmp_path):
    found, new = run(made(), keep=4)  # of [PAD], [UNK], e 6, a 4, b 2, c 2, t 1
    assert new.tokenizer.encode("e a b c t") == [3, 2, 1, 1, 1]
    assert found.report["dropped_share"] == pytest.approx(5 / 15) and found.report["texts_changed"] == 3
    assert len(run(made(), keep=5)[1].tokenizer) == 5 and len(run(made(), keep=20)[1].tokenizer) == 7
    assert len(run(made(), min_count=2)[1].tokenizer) == 6
    (tmp_path / "tokens.txt").write_text("b\nq\n", encoding="utf-8")
    assert run(made(), keep=str(tmp_path / "tokens.txt"))[1].tokenizer.encode("b q a") == [2, 3, 1]
    (tmp_path / "tokens.txt").write_text("b\nword\n", encoding="utf-8")
    with pytest.raises(CompressError, match=r"tokens.txt:2: the vocabulary has no token 'word'"):
        run(made(), keep=str(tmp_path / "tokens.txt"))


def test_nothing_to_drop_is_an_error_and_changes_nothing():
    model = made()
    with pytest.raises(CompressError, match="nothing goes: train holds all of the 22 tokens"):
        run(model, texts=CORPUS)
    assert model.encoder.embedding.weight.shape[0] == 22
    with pytest.raises(CompressError, match="no text"):
        run(model, texts=[])


@pytest.mark.parametrize("arguments", [{"keep": 2}, {"keep": "no/such/file"}, {"min_count": 0}, {"keep": True}])
def test_bad_arguments(arguments):
    with pytest.raises(ConfigError):
        VocabularyStep(**arguments)


class Tied(Towers):
    def forward(self, batch):
        tokens = self.encoder(batch["text"], batch["text_mask"]).tokens
        return {"token_logits": paddle.matmul(tokens, self.encoder.embedding.weight, transpose_y=True)}


class TwoReaders(Towers):
    def forward(self, batch):
        other = self.encoder.embedding(paddle.zeros_like(batch["text"]) + 3).mean(axis=1)
        return {"logits": self.head(self.encoder(batch["text"], batch["text_mask"]).pooled + other)}


class Deaf(Towers):
    def forward(self, batch):
        return {"logits": self.head(self.encoder.embedding(paddle.zeros_like(batch["text"])).mean(axis=1))}


@pytest.mark.parametrize(
    "kind, message",
    [(Tied, "encoder.embedding.weight is also used by matmul"), (TwoReaders, "something else"), (Deaf, "no embedding")],
)
def test_tables_that_are_used_for_more_are_refused_by_name(kind, message):
    model = kind()
    with pytest.raises(CompressError, match=message):
        run(model)
    assert model.encoder.embedding.weight.shape[0] == 22


def test_a_tokenizer_that_splits_otherwise_brings_everything_back():
    model, text_field = made(), field()
    old = text_field.tokenizer.to_json()

    class Wrong(FakeContext):
        def tokenizer(self, name):
            tokenizer = super().tokenizer(name)
            if len(tokenizer) == 7:
                tokenizer.encode = lambda text: [1]
            return tokenizer

    context = Wrong(batch_of(text_field, SEEN), tokenizers={"text": text_field.tokenizer}, texts={"text": SEEN})
    with pytest.raises(CompressError, match="splits 'a b a b' otherwise"):
        VocabularyStep().apply(model, context)
    assert model.encoder.embedding.weight.shape[0] == 22 and text_field.tokenizer.to_json() == old


def test_with_pruning_and_low_rank_the_form_comes_back():
    model, text_field = made("bilstm"), field()
    sample = batch_of(text_field, ["a b c", "t e a b"])
    transforms = [Prune(0.25).apply(model, sample).transform]
    transforms += LowRankStep(rank=2, layers=["encoder.embedding"]).apply(model, FakeContext(sample)).transforms
    context = FakeContext(sample, tokenizers={"text": text_field.tokenizer}, texts={"text": SEEN})
    transforms += VocabularyStep().apply(model, context).transforms
    assert transforms[-1]["args"]["tables"] == {"encoder.embedding.narrow.weight": 7}
    assert sizes_before(transforms, "here") == {"text": {"vocab_size": 22}}
    fresh = made("bilstm")
    replay_transforms(fresh, json.loads(json.dumps(transforms)), "here")
    fresh.set_state_dict(model.state_dict())
    fresh.eval()
    new = batch_of(text_field, ["a b c", "t e a b"])
    np.testing.assert_array_equal(fresh(new)["logits"].numpy(), model(new)["logits"].numpy())


def test_the_first_of_several_sizes_is_the_one_that_a_model_is_built_with():
    records = [{"name": "vocabulary", "args": {"field": "q", "before": before}} for before in (90, 40)]
    assert sizes_before([*records, {"name": "prune"}], "x") == {"q": {"vocab_size": 90}}
    with pytest.raises(CheckpointError, match="x: its transforms"):
        sizes_before([{"name": "vocabulary", "args": {}}], "x")


def test_the_transform_refuses_another_model():
    model = nn.Sequential(nn.Embedding(5, 2))
    for tables, message in [({"1.weight": 3}, "no '1.weight'"), ({"0.weight": 6}, r"cannot have 6 rows")]:
        with pytest.raises(ConfigError, match=message):
            Vocabulary("text", 5, tables)(model)
