"""What the look at one cell or one row yields: figures, and problems as (kind, detail)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Measured"]


@dataclass
class Measured:
    """One cell.

    Args:
        facts: JSON values: width, height, seconds, rate, characters, words, bytes.
        problems: (kind, detail) pairs.
    """

    facts: dict[str, Any] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)

    def problem(self, kind: str, detail: str) -> Measured:
        """Add one and return self."""
        self.problems.append((kind, detail))
        return self

    def as_json(self) -> dict[str, Any]:
        """For the journal."""
        return {"facts": self.facts, "problems": self.problems}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Measured:
        """What `as_json` gave."""
        return cls(dict(value["facts"]), [(str(kind), str(detail)) for kind, detail in value["problems"]])
