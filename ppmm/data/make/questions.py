"""Questions about one seen and one heard digit, in English and Chinese, and their answers."""

from __future__ import annotations

__all__ = ["BOTH", "KINDS", "LANGUAGES", "TEMPLATES", "YES_NO", "answer"]

LANGUAGES = ("en", "zh")
KINDS = ("seen", "heard", "same", "heard_larger", "seen_larger", "sum", "difference")
YES_NO = ("same", "heard_larger", "seen_larger")
BOTH = (*YES_NO, "sum", "difference")
"""Kinds that need the image and the recording."""


def answer(kind: str, seen: int, heard: int) -> str:
    """``yes``, ``no`` or a number 0..18.

    Args:
        kind: one of `KINDS`.
        seen: digit in the image, 0..9.
        heard: digit in the recording, 0..9.
    """
    numbers = {"seen": seen, "heard": heard, "sum": seen + heard, "difference": abs(seen - heard)}
    if kind in numbers:
        return str(numbers[kind])
    facts = {"same": seen == heard, "heard_larger": heard > seen, "seen_larger": seen > heard}
    return "yes" if facts[kind] else "no"


TEMPLATES: dict[tuple[str, str], tuple[str, ...]] = {
    ("seen", "en"): (
        "Which digit do you see?",
        "What digit is in the picture?",
        "Which number is written in the image?",
        "What is the handwritten digit?",
        "Read the digit in the image.",
        "Name the number that is shown.",
        "Ignore the sound: which digit is in the picture?",
    ),
    ("seen", "zh"): (
        "你看到的是哪个数字？",
        "图中的数字是几？",
        "图片里写的是什么数字？",
        "手写的数字是多少？",
        "请读出图中的数字。",
        "画面上显示的是几？",
        "不管声音，图里是几？",
    ),
    ("heard", "en"): (
        "Which digit do you hear?",
        "What digit is spoken?",
        "Which number is said in the recording?",
        "What does the voice say?",
        "Name the spoken digit.",
        "Listen: which number is it?",
        "Ignore the picture: which digit is spoken?",
    ),
    ("heard", "zh"): (
        "你听到的是哪个数字？",
        "录音里说的是几？",
        "声音里的数字是多少？",
        "语音说了什么数字？",
        "请写出听到的数字。",
        "说话人念的是几？",
        "不看图片，听到的是几？",
    ),
    ("same", "en"): (
        "Are the two digits the same?",
        "Is the spoken digit the one in the picture?",
        "Do the image and the sound show the same number?",
        "Does the voice say what is written?",
        "Is the digit that you hear equal to the digit that you see?",
        "Do picture and recording agree?",
        "Is it the same digit twice?",
    ),
    ("same", "zh"): (
        "两个数字相同吗？",
        "听到的数字和看到的一样吗？",
        "图片和声音是同一个数字吗？",
        "录音说的就是图中的数字吗？",
        "图中的数字等于听到的数字吗？",
        "声音与画面一致吗？",
        "念的和写的是不是同一个数？",
    ),
    ("heard_larger", "en"): (
        "Is the spoken digit larger than the one in the picture?",
        "Is the digit that you hear greater than the digit that you see?",
        "Does the voice say a larger number than the image shows?",
        "Is the number in the recording bigger than the written one?",
        "Is the sound's digit more than the picture's digit?",
        "Heard minus seen: is it above zero?",
    ),
    ("heard_larger", "zh"): (
        "听到的数字比看到的大吗？",
        "录音里的数字大于图中的数字吗？",
        "声音说的数比图片里的大吗？",
        "念的数字是不是比写的大？",
        "语音中的数是否大于画面上的数？",
        "听到的减去看到的大于零吗？",
    ),
    ("seen_larger", "en"): (
        "Is the digit in the picture larger than the spoken one?",
        "Is the digit that you see greater than the digit that you hear?",
        "Does the image show a larger number than the voice says?",
        "Is the written number bigger than the one in the recording?",
        "Is the picture's digit more than the sound's digit?",
        "Seen minus heard: is it above zero?",
    ),
    ("seen_larger", "zh"): (
        "看到的数字比听到的大吗？",
        "图中的数字大于录音里的数字吗？",
        "图片里的数比声音说的大吗？",
        "写的数字是不是比念的大？",
        "画面上的数是否大于语音中的数？",
        "看到的减去听到的大于零吗？",
    ),
    ("sum", "en"): (
        "What is the sum of the two digits?",
        "Add the digit that you see and the digit that you hear.",
        "How much are both digits together?",
        "What do you get when you add the spoken and the written number?",
        "Picture plus sound: how much is it?",
        "Give the total of the seen and the heard digit.",
    ),
    ("sum", "zh"): (
        "两个数字的和是多少？",
        "看到的数字加上听到的数字等于几？",
        "图中的数和录音里的数一共是多少？",
        "把念的和写的数字加起来是几？",
        "图片加声音等于多少？",
        "两个数相加得几？",
    ),
    ("difference", "en"): (
        "What is the difference between the two digits?",
        "How far apart are the two digits?",
        "By how much do the seen and the heard digit differ?",
        "What is the larger digit minus the smaller one?",
        "How many steps lie between the spoken and the written number?",
        "Give the distance between picture and sound.",
    ),
    ("difference", "zh"): (
        "两个数字相差多少？",
        "看到的和听到的数字差几？",
        "图中的数与录音里的数的差是多少？",
        "大的数字减去小的数字等于几？",
        "念的和写的数字之间差多少？",
        "图片和声音的数字距离是几？",
    ),
}
"""(kind, language) -> at least six ways to ask."""
