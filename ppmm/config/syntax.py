"""PyYAML's syntax errors -> a line and a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml
from yaml.reader import ReaderError

__all__ = ["explain"]


def explain(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """Line (from 1) at which a person should look, and what is wrong there."""
    if isinstance(error, ReaderError):
        line = text.count("\n", 0, error.position) + 1  # PyYAML counts characters here, not lines
        return line, f"the character U+{_code(error):04X} cannot stand in a YAML file"
    if not isinstance(error, yaml.MarkedYAMLError):
        return 1, str(error)
    problem, context = error.problem or "", error.context or ""
    begin = _line(error.context_mark) or _line(error.problem_mark) or 1
    line = _line(error.problem_mark) or begin
    for needle, at_begin, sentence in _SENTENCES:
        if needle in f"{context}: {problem}":
            message = sentence if isinstance(sentence, str) else sentence(problem, begin)
            return begin if at_begin else line, message
    return line, f"not YAML: {problem}" + (f" ({context})" if context else "")


def _line(mark: Any) -> int | None:
    return None if mark is None else mark.line + 1


def _code(error: ReaderError) -> int:
    character = error.character
    return ord(character) if isinstance(character, str) else int(character)


def _first_character(problem: str, begin: int) -> str:
    character = problem.split("character ", 1)[1].split(" that ", 1)[0]
    return f"text cannot begin with {character}; put it in quotes"


def _unclosed(opened: str, closing: str) -> Callable[[str, int], str]:
    def sentence(problem: str, begin: int) -> str:
        return f"'{opened}' opened on line {begin}: a ',' or the closing '{closing}' is missing"

    return sentence


_Sentence = str | Callable[[str, int], str]
_SENTENCES: tuple[tuple[str, bool, _Sentence], ...] = (
    ("while scanning a quoted scalar", True, "the quote that opens here is never closed"),
    ("while scanning a double-quoted scalar", False,
     "in double quotes a backslash begins an escape such as \\n; use single quotes"),
    ("while scanning an alias", False, "text cannot begin with '*' (a YAML alias); put it in quotes"),
    ("undefined alias", False, "text that begins with '*' is a YAML alias, and no '&' defines it; put text in quotes"),
    ("while scanning an anchor", False, "text cannot begin with '&' (a YAML anchor); put it in quotes"),
    ("first occurrence", False, "an anchor (&name) of this name exists already"),
    ("while scanning a tag", False, "text cannot begin with '!' (a YAML tag); put it in quotes"),
    ("undefined tag handle", False, "text cannot begin with '!' (a YAML tag); put it in quotes"),
    ("while scanning a block scalar", False, "text cannot begin with '|' or '>'; put it in quotes"),
    (r"character '\t' that", False, "a tab; indent with spaces"),
    ("cannot start any token", False, _first_character),
    ("but got '{'", False, "a '{' inside a value; write ${...} in quotes where it stands in { } or [ ]"),
    ("while parsing a flow sequence", False, _unclosed("[", "]")),
    ("while parsing a flow mapping", False, _unclosed("{", "}")),
    ("mapping values are not allowed", False,
     "a ':' where no key can be: the line above lacks a space after its ':', or the indentation differs from the "
     "lines above, or text that contains ': ' lacks quotes"),
    ("sequence entries are not allowed", False, "'- ' cannot stand here; begin the list on a line of its own"),
    ("could not find expected ':'", True, "a key needs a ':' and a space after it"),
    ("<block end>, but found '<scalar>'", False,
     "text that belongs to nothing: put the whole value in quotes (quotes inside doubled), or mend the indentation"),
    ("<block end>, but found ']'", False, "a ']' too many"),
    ("<block end>, but found '}'", False, "a '}' too many"),
    ("expected <block end>", False,
     "the indentation does not fit the lines above; entries of one mapping or list begin in the same column"),
    ("expected a single document", False, "a second document begins here; remove the '---' line"),
    ("expected '<document start>'", False, "this does not fit the lines above; is the indentation the same?"),
    ("expected the node content", False, "a value is missing here, or text that begins with , ] } lacks quotes"),
)  # fmt: skip
"""Part of PyYAML's ``context: problem``; whether to point at where the context begins; sentence. The first counts."""
