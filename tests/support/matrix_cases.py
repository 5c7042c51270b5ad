"""Which models the matrix of parts builds: every part with default partners, and every pair of parts that can meet.

What cannot be is told by these rules, never by a list of what failed:

- An objective that compares embeddings (its constructor asks for ``fields``) needs ``two_tower``, which has at least
  two fields and neither fusion nor head; every other objective needs ``late_fusion``.
- An objective that is made of named ``terms`` takes terms of either sort, so it meets both models; one that wraps an
  ``objective`` wraps one that learns classes, in ``late_fusion``.
- The head ``identity`` needs a fusion that answers the classes itself (its constructor asks for ``classes``).
- A fusion that states ``target_kinds`` needs an objective that learns a target of one of them.
- A model has one to three fields of different kinds; ``audio`` and ``waveform`` are two forms of one field.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import combinations, product
from typing import Any, NamedTuple

from covering import covering_cases
from part_kinds import kind_of

from ppmm.registry import ENCODERS, FUSIONS, HEADS, OBJECTIVES, TRUNKS, Registry

__all__ = [
    "Case",
    "default_cases",
    "field_of",
    "late_objectives",
    "matrix_cases",
    "pairs_of",
    "target_kind",
    "tower_objectives",
]

FIELDS = ("image", "text", "audio", "numeric")
MOST_FIELDS = 3
ENCODER = {"image": "cnn", "text": "bigru", "audio": "cnn_bilstm", "numeric": "mlp"}
FUSION, HEAD, OBJECTIVE, TOWER_OBJECTIVE = "concat", "linear", "cross_entropy", "info_nce"
"""The partners of a part that is tried by itself, and of pairs where any will do: they are small."""
Pair = tuple[tuple[str, str], tuple[str, str]]


class Case(NamedTuple):
    """One model. ``fusion`` and ``head`` are None in a ``two_tower``; ``trunk`` may be None in both."""

    encoders: tuple[tuple[str, str], ...]
    objective: str
    fusion: str | None = None
    head: str | None = None
    trunk: str | None = None

    def __str__(self) -> str:
        fields = "+".join(f"{field}:{name}" for field, name in self.encoders)
        return "-".join([fields, *filter(None, (self.trunk, self.fusion, self.head)), self.objective])


@cache
def field_of(encoder: str) -> str:
    """The field that an encoder reads."""
    kind = kind_of(encoder)
    return "audio" if kind == "waveform" else kind


@cache
def asks_for(registry: Registry, name: str, argument: str) -> bool:
    """Whether the constructor of a part has an argument without default."""
    parameter = inspect.signature(registry.get(name)).parameters.get(argument)
    return parameter is not None and parameter.default is parameter.empty


def late_objectives() -> list[str]:
    """Those of ``late_fusion``."""
    return [name for name in OBJECTIVES.names() if not asks_for(OBJECTIVES, name, "fields")]


def tower_objectives() -> list[str]:
    """Those of ``two_tower``."""
    return [
        name
        for name in OBJECTIVES.names()
        if asks_for(OBJECTIVES, name, "fields") or asks_for(OBJECTIVES, name, "terms")
    ]


def fits(head: str, fusion: str) -> bool:
    """Whether a head can take what a fusion gives."""
    return head != "identity" or asks_for(FUSIONS, fusion, "classes")


@cache
def agree(objective: str, fusion: str) -> bool:
    """Whether the target that the matrix gives an objective is of a kind that the fusion can answer."""
    kinds = getattr(FUSIONS.get(fusion), "target_kinds", None)
    return kinds is None or target_kind(objective) in kinds


def target_kind(objective: str) -> str:
    """The kind of the target that the matrix gives an objective."""
    kind: str = getattr(OBJECTIVES.get(objective), "target_kinds", ("label",))[-1]
    return kind


def matrix_cases() -> list[Case]:
    """Every part with default partners, then the covering arrays of ``two_tower`` and ``late_fusion``; none twice."""
    singles = default_cases()
    return list(dict.fromkeys([*singles, *_covering(singles, late=False), *_covering(singles, late=True)]))


def default_cases() -> list[Case]:
    """Every encoder, fusion, head, trunk and objective once, with partners that are always the same."""
    usual = {field: ENCODER[field] for field in FIELDS[:MOST_FIELDS]}
    plain = Case(tuple(usual.items()), OBJECTIVE, FUSION, HEAD)
    towers = Case(plain.encoders, TOWER_OBJECTIVE)
    cases = [plain, towers]
    for name in ENCODERS.names():
        field = field_of(name)
        own = {**usual, field: name} if field in usual else {"image": usual["image"], field: name}
        cases.append(plain._replace(encoders=tuple(own.items())))
    cases += [plain._replace(fusion=name) for name in FUSIONS.names()]
    cases += [
        plain._replace(head=name, fusion=next(fusion for fusion in (FUSION, *FUSIONS.names()) if fits(name, fusion)))
        for name in HEADS.names()
    ]
    cases += [model._replace(trunk=name) for name in TRUNKS.names() for model in (plain, towers)]
    cases += [plain._replace(objective=name) for name in late_objectives()]
    cases += [towers._replace(objective=name) for name in tower_objectives()]
    return list(dict.fromkeys(cases))


def pairs_of(case: Case) -> set[Pair]:
    """The pairs that a case covers: all of its parts and the number of its fields, but for encoder with encoder."""
    parts = [(role, name) for role in ("fusion", "head", "trunk") if (name := getattr(case, role)) is not None]
    parts += [("fields", str(len(case.encoders))), ("objective", case.objective)]
    encoders = [("encoder", name) for _, name in case.encoders]
    return {*combinations(sorted(parts), 2), *product(encoders, parts)}  # type: ignore[arg-type]


def _covering(given: list[Case], late: bool) -> list[Case]:
    """Cases of one model that together with ``given`` cover every pair that any legal case of it covers."""
    wanted = dict.fromkeys(sorted(_possible_pairs(late)))
    for case in given:
        if (case.fusion is not None) == late:
            for pair in pairs_of(case):
                wanted.pop(pair, None)
    of = cache(pairs_of)
    found = covering_cases(
        _factors(late),
        lambda choice: of(_case(choice)),
        wanted,
        lambda pair: {field_of(name) if role == "encoder" else role: name for role, name in pair if role != "fields"},
        lambda choice: (
            not late or (fits(choice["head"], choice["fusion"]) and agree(choice["objective"], choice["fusion"]))
        ),
    )
    return [_case(choice) for choice in found]


def _factors(late: bool) -> dict[str, list[Any]]:
    """The choices of which a model is made; ``fields`` is the set of those that it has."""
    encoders: dict[str, list[Any]] = {
        field: _first(ENCODER[field], [name for name in ENCODERS.names() if field_of(name) == field])
        for field in FIELDS
    }
    sizes = range(1 if late else 2, MOST_FIELDS + 1)
    factors = {**encoders, "fields": [chosen for size in sizes for chosen in combinations(FIELDS, size)]}
    factors["trunk"] = [None, *TRUNKS.names()]
    if not late:
        return factors | {"objective": _first(TOWER_OBJECTIVE, tower_objectives())}
    factors["objective"] = _first(OBJECTIVE, late_objectives())
    return factors | {"fusion": _first(FUSION, FUSIONS.names()), "head": _first(HEAD, HEADS.names())}


def _first(usual: str, names: list[str]) -> list[str]:
    """``names``, the usual one in front."""
    return sorted(names, key=lambda name: name != usual)


def _case(choice: Mapping[str, Any]) -> Case:
    encoders = tuple((field, choice[field]) for field in choice["fields"])
    return Case(encoders, choice["objective"], choice.get("fusion"), choice.get("head"), choice["trunk"])


def _possible_pairs(late: bool) -> Iterator[Pair]:
    """Every two values of different roles that some legal case has; roles as in `pairs_of`."""
    factors = _factors(late)
    roles = {"encoder": ENCODERS.names(), "fields": sorted({str(len(fields)) for fields in factors["fields"]})}
    roles |= {
        role: list(filter(None, factors[role])) for role in ("fusion", "head", "objective", "trunk") if role in factors
    }
    for first, second in combinations(roles, 2):  # in the order of the alphabet, as in pairs_of
        for one, other in product(roles[first], roles[second]):
            chosen = {first: one, second: other}
            if not late or any(
                fits(head, fusion) and agree(objective, fusion)
                for head, fusion, objective in product(
                    *([chosen[role]] if role in chosen else factors[role] for role in ("head", "fusion", "objective"))
                )
            ):
                yield (first, one), (second, other)
