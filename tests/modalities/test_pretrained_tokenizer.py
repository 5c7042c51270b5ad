"""PaddleNLP's tokenisers as tokenizer.json: equal to the original, readable without it."""

import json
import subprocess
import sys

import pytest

from ppmm.errors import CheckpointError, ConfigError, DataError
from ppmm.modalities import pretrained_tokenizer
from ppmm.modalities.pretrained_tokenizer import PROBES, PretrainedTokenizer, local_folder
from ppmm.modalities.text import TextField

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "The", "quick", "brown", "fox", "##es", "jump", "##ed",
          "un", "##want", ",", ".", "!", "'", "-", "数", "字", "是", "cafe", "caf", "##e", "a", "b", "c", "##a", "##b",
          "1", "##3", "don", "t", "x", "##x", "e", "mail", "na", "##ive"]  # fmt: skip
TEXTS = ["The quick foxes jumped, un-unwanted!", "这是数字 café [MASK] [SEP] x", "zzz", "THE a1c3 \u00a0 b"]


@pytest.fixture
def folder(tmp_path, request):
    """A folder as PaddleNLP saves one."""
    name, lower = getattr(request, "param", ("BertTokenizer", True))
    config = {"tokenizer_class": name, "do_lower_case": lower}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    return tmp_path


KINDS = [("BertTokenizer", True), ("BertTokenizer", False), ("ErnieTokenizer", True)]


@pytest.mark.parametrize("folder", KINDS, indirect=True)
def test_equals_the_original_and_needs_it_no_more(folder):
    from paddlenlp.transformers import AutoTokenizer

    tokenizer = PretrainedTokenizer(str(folder))
    tokenizer.fit(TEXTS)
    original, served = AutoTokenizer.from_pretrained(str(folder)), PretrainedTokenizer()
    served.from_json(tokenizer.to_json())
    for text in [*TEXTS, *PROBES]:
        assert served.encode(text) == original(text)["input_ids"]
    assert served.encode("the fox")[:1] + served.encode("the fox")[-1:] == [2, 3]
    assert served.end_id == 3 and served.mask_id == 4 and len(served) == len(PIECES)


def test_without_special_tokens(folder):
    tokenizer = PretrainedTokenizer(str(folder), special_tokens=False)
    tokenizer.fit([])
    assert tokenizer.encode("the fox") == [5, 9] and tokenizer.end_id is None


def test_a_text_that_is_cut_keeps_its_end(folder):
    field = TextField(PretrainedTokenizer(str(folder)), max_length=4)
    field.fit(["the fox"])
    assert field("the the the the the").tolist() == [2, 5, 5, 3] and field("fox").tolist() == [2, 9, 3]


def test_byte_level_of_gpt(tmp_path):
    from tokenizers import ByteLevelBPETokenizer

    trained = ByteLevelBPETokenizer()
    texts = ["the quick brown fox", "the lazy dogs", "数字"] * 5
    trained.train_from_iterator(texts, vocab_size=300, show_progress=False, special_tokens=["<|endoftext|>"])
    trained.save_model(str(tmp_path))
    config = {"tokenizer_class": "GPTTokenizer", "pad_token": "<|endoftext|>", "eos_token": "<|endoftext|>",
              "unk_token": "<|endoftext|>", "eol_token": "Ċ"}  # fmt: skip
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    tokenizer = PretrainedTokenizer(str(tmp_path))
    tokenizer.fit(["the quick dogs", "数字"])
    assert len(tokenizer.encode(" the")) <= 2


def test_an_unequal_conversion_is_refused(folder, monkeypatch):
    from tokenizers import normalizers

    convert = pretrained_tokenizer.convert

    def wrong(original):
        tokenizer = convert(original)
        tokenizer.normalizer = normalizers.Lowercase()
        return tokenizer

    monkeypatch.setattr(pretrained_tokenizer, "convert", wrong)
    with pytest.raises(DataError, match=r"cannot be written as an equal tokenizer\.json: they differ on"):
        PretrainedTokenizer(str(folder)).fit([])


def test_a_name_that_is_not_local_explains_itself(tmp_path, monkeypatch):
    monkeypatch.setenv("PPNLP_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="ppmm downloads nothing") as caught:
        PretrainedTokenizer("ernie-3.0-medium-zh").fit([])
    assert "save_pretrained" in str(caught.value) and "ernie-3.0-medium-zh" in str(caught.value)
    (tmp_path / "models" / "mine").mkdir(parents=True)
    assert local_folder("mine") == (tmp_path / "models" / "mine").resolve()
    with pytest.raises(ConfigError, match=r"has no tokenizer_config\.json"):
        PretrainedTokenizer("mine").fit([])
    with pytest.raises(ConfigError):
        local_folder("../models/mine")
    with pytest.raises(ConfigError, match="source"):
        PretrainedTokenizer().fit([])


def test_damaged_files():
    with pytest.raises(CheckpointError):
        PretrainedTokenizer().from_json("{")
    with pytest.raises(DataError, match="no vocabulary yet"):
        PretrainedTokenizer().encode("x")


def test_reading_tokenizer_json_imports_no_paddlenlp(folder):
    tokenizer = PretrainedTokenizer(str(folder))
    tokenizer.fit([])
    (folder / "tokenizer.json").write_text(tokenizer.to_json(), encoding="utf-8")
    code = (
        "import sys; from pathlib import Path;"
        "from ppmm.modalities.pretrained_tokenizer import PretrainedTokenizer as T;"
        "t = T(); t.from_json(Path(sys.argv[1]).read_text(encoding='utf-8')); print(t.encode('the fox'));"
        "print(sorted(set(sys.modules) & {'paddle', 'paddlenlp'}))"
    )
    command = [sys.executable, "-c", code, str(folder / "tokenizer.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[2, 5, 9, 3]", "[]"]
