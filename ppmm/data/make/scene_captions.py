"""Captions of a row of coloured digits, in English and Chinese."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

__all__ = ["COLOURS", "LANGUAGES", "TEMPLATES", "Shown", "caption"]

LANGUAGES = ("en", "zh")
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (225, 55, 45),
    "green": (50, 190, 70),
    "blue": (70, 105, 240),
    "yellow": (235, 215, 50),
    "purple": (185, 70, 210),
    "white": (235, 235, 235),
}
"""RGB by English name."""
COLOURS_ZH = {"red": "红色", "green": "绿色", "blue": "蓝色", "yellow": "黄色", "purple": "紫色", "white": "白色"}
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGITS_ZH = ("零", "一", "二", "三", "四", "五", "六", "七", "八", "九")


class Shown(NamedTuple):
    """One digit of a scene: which, in which colour (a key of `COLOURS`), at the upper or at the lower edge."""

    digit: int
    colour: str
    high: bool


Template = Callable[[list[str]], str]
"""The noun phrases of a scene's digits, from left to right -> a caption."""

TEMPLATES: dict[tuple[str, bool], tuple[Template, ...]] = {
    ("en", False): (
        lambda one: one[0],
        lambda one: f"there is {one[0]}",
        lambda one: f"a picture of {one[0]}",
        lambda one: f"only {one[0]}",
    ),
    ("en", True): (
        " left of ".join,
        ", then ".join,
        lambda row: f"from left to right: {', '.join(row)}",
        lambda row: " right of ".join(reversed(row)),
        " followed by ".join,
        lambda row: f"{row[0]} comes first, next to it {', then '.join(row[1:])}",
    ),
    ("zh", False): (
        lambda one: one[0],
        lambda one: f"图中有{one[0]}",
        lambda one: f"这张图片：{one[0]}",
        lambda one: f"只有{one[0]}",
    ),
    ("zh", True): (
        "，右边是".join,
        "，然后是".join,
        lambda row: f"从左到右：{'、'.join(row)}",
        lambda row: f"{'，左边是'.join(reversed(row))}",
        "，接着是".join,
        lambda row: f"先是{row[0]}，旁边是{'，再是'.join(row[1:])}",
    ),
}
"""(language, whether there are several digits) -> at least four ways to say it."""


def caption(row: Sequence[Shown], language: str, template: Template) -> str:
    """The scene in words: ``a high red seven left of a low blue two``.

    Args:
        row: the digits from left to right.
        language: one of `LANGUAGES`.
        template: one of `TEMPLATES` of that language.
    """
    return template([_phrase(shown, language) for shown in row])


def _phrase(shown: Shown, language: str) -> str:
    if language == "zh":
        return f"{'高处' if shown.high else '低处'}{COLOURS_ZH[shown.colour]}的{DIGITS_ZH[shown.digit]}"
    return f"a {'high' if shown.high else 'low'} {shown.colour} {DIGITS[shown.digit]}"
