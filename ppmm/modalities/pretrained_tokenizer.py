"""Tokenisers of PaddleNLP's pretrained models, turned into a tokenizer.json that is proven to do the same."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from ppmm.errors import CheckpointError, ConfigError, DataError
from ppmm.modalities.tokenizer import MASK, FittedTokenizer
from ppmm.registry import TOKENIZERS

__all__ = ["PROBES", "PretrainedTokenizer", "convert", "differing_text"]

PROBES = (
    "The quick brown fox jumped over 13 lazy dogs.", "don't", "e-mail: a.b@c.org", "  two  spaces\tand a tab\n",
    "naïve café ÀÉÎ ñ", "ＦＵＬＬ　ｗｉｄｔｈ", "这是一个数字5吗？", "日本語のテスト", "한국어",
    "mixed 中文 and English", "x" * 150, "3.14159, 1,000 and 50%", "¿qué? ¡sí!", "a\u200bb\u00a0c\ufeff",
    "🙂 emoji 👍🏽", "under_score #tag @you",
    "( [ { < > } ] )", "“quotes” – dashes — …", "ß ﬁ ǆ İ", "a",
)  # fmt: skip
"""Texts of every kind that tokenisers are known to treat differently."""

SYMBOL = r"[\p{S}\u00ad\u00b2\u00ba\u3007\u00b5\u00d8\u014b\u01b1]"
"""What PaddleNLP's BERT splits off beside punctuation, unlike the original one: emoji and such."""


@TOKENIZERS.register("paddlenlp")
class PretrainedTokenizer(FittedTokenizer):
    """The vocabulary and rules of a pretrained model.

    `fit` reads them with PaddleNLP, turns them into a tokenizer.json, and compares the two on every training text and
    on `PROBES`. From then on only tokenizer.json is used: no PaddleNLP in serving.

    Args:
        source: a folder with PaddleNLP's files (tokenizer_config.json, vocab.txt ...), or the name of a model whose
            files PaddleNLP has on this machine already. Nothing is downloaded. Not needed to serve.
        special_tokens: put the model's own tokens, such as [CLS] and [SEP], around each text.
    """

    def __init__(self, source: str | None = None, special_tokens: bool = True) -> None:
        super().__init__()
        self.source = source
        self.special_tokens = special_tokens

    def fit(self, texts: Sequence[str]) -> None:
        """Convert and compare. Raises ConfigError without local files, DataError naming a text that comes out
        differently."""
        if self.source is None:
            raise ConfigError("source: name the folder of the pretrained tokenizer")
        original = _load(local_folder(self.source))
        converted = convert(original)
        text = differing_text(original, converted, [*PROBES, *texts])
        if text is not None:
            raise DataError(
                f"{type(original).__name__} of {self.source} cannot be written as an equal tokenizer.json: they differ "
                f"on {ascii(text)[:80]}; take another tokenizer, since a bundle can only carry that format"
            )
        self._take(converted)

    def encode(self, text: str) -> list[int]:
        """Ids of the pieces of ``text``. Raises DataError before `fit` or `from_json`."""
        return list(self._fitted().encode(text, add_special_tokens=self.special_tokens).ids)

    def from_json(self, text: str) -> None:
        """Read a tokenizer.json. Raises CheckpointError when it is damaged."""
        try:
            self._take(Tokenizer.from_str(text))
        except Exception as error:  # the library raises plain Exception
            raise CheckpointError(f"tokenizer.json is damaged: {error}") from error

    @property
    def mask_id(self) -> int:
        """Id of the model's mask token; of its unknown token where it has none."""
        tokenizer = self._fitted()
        for name in (MASK, "<mask>", "[UNK]", "<unk>"):
            if tokenizer.token_to_id(name) is not None:
                return int(tokenizer.token_to_id(name))
        return 0

    def _take(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        plain = len(tokenizer.encode("a", add_special_tokens=False).ids)
        around = tokenizer.encode("a").ids
        ends = self.special_tokens and len(around) > plain and tokenizer.encode("a").special_tokens_mask[-1] == 1
        self.end_id = int(around[-1]) if ends else None


def local_folder(source: str) -> Path:
    """The folder of a tokenizer's files. Raises ConfigError that explains what to do without a network."""
    folder = Path(source)
    if folder.is_dir():
        return folder.resolve()
    cache = Path(os.environ.get("PPNLP_HOME", Path.home() / ".paddlenlp")) / "models" / source
    if ".." not in folder.parts and not folder.is_absolute() and cache.is_dir():
        return cache.resolve()
    raise ConfigError(
        f"source: '{source}' is no folder here, and PaddleNLP keeps no files of that name in {cache}. ppmm downloads "
        'nothing. On a machine with a network run python -c "from paddlenlp.transformers import AutoTokenizer as T; '
        f"T.from_pretrained('{source}').save_pretrained('tokenizer')\", copy the folder here and give its path"
    )


def _load(folder: Path) -> Any:
    """PaddleNLP's tokeniser of a folder. Raises ConfigError."""
    if not (folder / "tokenizer_config.json").is_file():
        raise ConfigError(f"source: {folder} has no tokenizer_config.json, which names the tokenizer's class")
    try:
        from paddlenlp.transformers import AutoTokenizer
        from paddlenlp.utils.log import logger
    except ImportError as error:
        raise ConfigError(f"'paddlenlp' needs PaddleNLP to train: pip install ppmm[train] ({error})") from error
    try:
        logger.set_level("WARNING")  # it announces every file that it reads
        return AutoTokenizer.from_pretrained(str(folder))
    except Exception as error:  # PaddleNLP raises nearly any type
        raise ConfigError(f"source: PaddleNLP cannot read the tokenizer in {folder}: {error}") from error


def convert(original: Any) -> Tokenizer:
    """PaddleNLP's WordPiece (BERT, ERNIE ...) or byte-level BPE (GPT, RoBERTa ...) tokeniser -> `tokenizers`.

    Raises ConfigError for other algorithms (SentencePiece).
    """
    if hasattr(original, "wordpiece_tokenizer") and hasattr(original, "basic_tokenizer"):
        tokenizer = _word_piece(original)
    elif hasattr(original, "bpe_ranks") and hasattr(original, "encoder"):
        tokenizer = _byte_level(original)
    else:
        raise ConfigError(
            f"source: {type(original).__name__} is neither WordPiece nor byte-level BPE, and a bundle can only carry "
            "what becomes a tokenizer.json; take a BERT, ERNIE, GPT or RoBERTa tokenizer"
        )
    tokenizer.add_special_tokens(list(original.all_special_tokens))
    marker = int(original.convert_tokens_to_ids(original.unk_token))
    ids = list(original.build_inputs_with_special_tokens([marker]))
    place = ids.index(marker)
    before, after = (original.convert_ids_to_tokens(part) for part in (ids[:place], ids[place + 1 :]))
    names = dict.fromkeys([*before, *after])
    if names:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[*before, "$A", *after],
            special_tokens=[(name, int(original.convert_tokens_to_ids(name))) for name in names],
        )
    return tokenizer


def _word_piece(original: Any) -> Tokenizer:
    vocab = {str(token): int(index) for token, index in original.vocab.token_to_idx.items()}
    pieces = original.wordpiece_tokenizer
    tokenizer = Tokenizer(
        models.WordPiece(vocab, unk_token=original.unk_token, max_input_chars_per_word=pieces.max_input_chars_per_word)
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=bool(original.basic_tokenizer.do_lower_case))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Split(Regex(SYMBOL), behavior="isolated")]
    )
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def _byte_level(original: Any) -> Tokenizer:
    merges = [pair for pair, _ in sorted(original.bpe_ranks.items(), key=lambda item: item[1])]
    tokenizer = Tokenizer(models.BPE(dict(original.encoder), [tuple(pair) for pair in merges]))
    prefix = bool(getattr(original, "add_prefix_space", False))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def differing_text(original: Any, converted: Tokenizer, texts: Sequence[str]) -> str | None:
    """The first text that the two split differently, with or without special tokens; None when there is none."""
    for text in texts:
        for special in (True, False):
            wanted = list(original(text, add_special_tokens=special)["input_ids"])
            if wanted != converted.encode(text, add_special_tokens=special).ids:
                return text
    return None
