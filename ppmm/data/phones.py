"""The 61 phones of TIMIT's transcripts, folded to 48 and 39 after Lee and Hon (1989)."""

from __future__ import annotations

from typing import Literal

__all__ = ["PHONES_39", "PHONES_48", "PHONES_61", "PhoneSet", "fold"]

PhoneSet = Literal[61, 48, 39]

TRANSCRIBED = (
    "aa ae ah ao aw ax ax-h axr ay b bcl ch d dcl dh dx eh el em en eng epi er ey f g gcl h# hh hv ih ix iy jh k kcl l "
    "m n ng nx ow oy p pau pcl q r s sh t tcl th uh uw ux v w y z zh"
)
PHONES_61 = tuple(TRANSCRIBED.split())
TO_48 = {
    "ux": "uw", "axr": "er", "ax-h": "ax", "em": "m", "nx": "n", "eng": "ng", "hv": "hh",
    "pcl": "cl", "tcl": "cl", "kcl": "cl", "bcl": "vcl", "dcl": "vcl", "gcl": "vcl", "h#": "sil", "pau": "sil",
}  # fmt: skip
TO_39 = {
    "cl": "sil", "vcl": "sil", "epi": "sil", "el": "l", "en": "n", "zh": "sh", "ao": "aa", "ix": "ih", "ax": "ah",
}  # fmt: skip
DELETED = "q"
"""The glottal stop: in the folded sets it is left out."""


def fold(phone: str, phones: int) -> str | None:
    """A phone of the 61 in the set of 61, 48 or 39; None for one that the set leaves out. Raises KeyError."""
    if phone not in PHONES_61:
        raise KeyError(phone)
    if phones == 61:
        return phone
    if phone == DELETED:
        return None
    folded = TO_48.get(phone, phone)
    return folded if phones == 48 else TO_39.get(folded, folded)


def _all(phones: int) -> tuple[str, ...]:
    return tuple(sorted({folded for phone in PHONES_61 if (folded := fold(phone, phones)) is not None}))


PHONES_48, PHONES_39 = _all(48), _all(39)
