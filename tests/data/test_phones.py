"""The folding of Lee and Hon (1989), against their table 1 and 2 as usually printed."""

import pytest

from ppmm.data.phones import PHONES_39, PHONES_48, PHONES_61, fold


def test_the_sets_have_their_sizes() -> None:
    assert (len(PHONES_61), len(PHONES_48), len(PHONES_39)) == (61, 48, 39)


def test_every_phone_is_folded_as_published() -> None:
    groups = {
        "aa": "aa ao", "ah": "ah ax ax-h", "er": "er axr", "hh": "hh hv", "ih": "ih ix", "l": "l el", "m": "m em",
        "n": "n en nx", "ng": "ng eng", "sh": "sh zh", "uw": "uw ux",
        "sil": "pcl tcl kcl bcl dcl gcl h# pau epi",
    }  # fmt: skip
    for folded, members in groups.items():
        assert {fold(phone, 39) for phone in members.split()} == {folded}
    grouped = {phone for members in groups.values() for phone in members.split()}
    for phone in set(PHONES_61) - grouped - {"q"}:
        assert fold(phone, 39) == fold(phone, 48) == fold(phone, 61) == phone
    assert (fold("q", 61), fold("q", 48), fold("q", 39)) == ("q", None, None)
    assert {phone: fold(phone, 48) for phone in ("pcl", "bcl", "epi", "zh", "ao", "ix", "el", "pau", "ax-h")} == {
        "pcl": "cl", "bcl": "vcl", "epi": "epi", "zh": "zh", "ao": "ao", "ix": "ix", "el": "el", "pau": "sil",
        "ax-h": "ax",
    }  # fmt: skip


def test_an_unknown_phone_is_an_error() -> None:
    with pytest.raises(KeyError):
        fold("zz", 39)
