"""Byte-pair encoding learned from a corpus."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from ppmm.errors import CheckpointError, ConfigError, DataError
from ppmm.modalities.tokenizer import PAD, UNKNOWN, FittedTokenizer, Normalization, unicode_form
from ppmm.registry import TOKENIZERS

__all__ = ["BytePairTokenizer"]

ALPHABET = 256
RULES = ("normalizer", "pre_tokenizer", "decoder", "post_processor")


@TOKENIZERS.register("byte_pair")
class BytePairTokenizer(FittedTokenizer):
    """Pieces of words, the most frequent pairs merged first (Sennrich et al. 2016), over bytes as in GPT-2.

    No text is unknown, in whatever script; the same corpus gives the same ids. [PAD] = 0, [UNK] = 1.

    Args:
        vocab_size: size of the vocabulary at most; 256 of it are the single bytes.
        min_count: rarer pairs are not merged.
        normalization: Unicode form that texts are brought to first.
        lowercase: take upper and lower case for the same.
    """

    def __init__(
        self,
        vocab_size: int = 8_000,
        min_count: int = 2,
        normalization: Normalization = "NFKC",
        lowercase: bool = False,
    ) -> None:
        super().__init__()
        if vocab_size < ALPHABET + 2:
            raise ConfigError(f"vocab_size: {vocab_size} must be at least {ALPHABET + 2} (bytes, {PAD} and {UNKNOWN})")
        if min_count < 1:
            raise ConfigError(f"min_count: {min_count} must be at least 1")
        self.vocab_size = vocab_size
        self.min_count = min_count
        self.normalization: Normalization = normalization
        self.lowercase = lowercase

    def fit(self, texts: Sequence[str]) -> None:
        """Learn the merges. Raises DataError without texts."""
        if not texts:
            raise DataError("no texts to learn a byte-pair vocabulary from")
        tokenizer = self._rules()
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size, min_frequency=self.min_count, special_tokens=[PAD, UNKNOWN],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False,
        )  # fmt: skip
        tokenizer.train_from_iterator(iter(texts), trainer)
        self._tokenizer = tokenizer

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, without special tokens."""
        return str(self._fitted().decode(list(ids))).strip()

    def from_json(self, text: str) -> None:
        """Take over what `to_json` gave. Raises CheckpointError when it is damaged or of another tokeniser."""
        try:
            found = Tokenizer.from_str(text)
        except Exception as error:  # the library raises plain Exception
            raise CheckpointError(f"tokenizer.json is damaged: {error}") from error
        tree, rules = json.loads(found.to_str()), json.loads(self._rules().to_str())
        if tree["model"]["type"] != "BPE" or any(tree[key] != rules[key] for key in RULES):
            raise CheckpointError(
                "tokenizer.json does not split text as BytePairTokenizer does; name the tokenizer that wrote it"
            )
        if (found.token_to_id(PAD), found.token_to_id(UNKNOWN)) != (0, 1):
            raise CheckpointError(f"tokenizer.json must have {PAD} = 0 and {UNKNOWN} = 1")
        self._tokenizer = found

    def _rules(self) -> Tokenizer:
        """A tokeniser without merges."""
        tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
        case = [normalizers.Lowercase()] if self.lowercase else []
        tokenizer.normalizer = normalizers.Sequence([*unicode_form(self.normalization), normalizers.Strip(), *case])
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        return tokenizer
