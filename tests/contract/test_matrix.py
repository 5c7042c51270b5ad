"""Every part with default partners, and every pair of parts that can meet, from YAML to checked bundle.

Pairs are of encoder, fusion, head, trunk, number of fields and objective (all but encoder with encoder), in
``late_fusion`` and ``two_tower``; `matrix_cases` has the rules of what can be. Each case is checked and built from a
YAML tree, trained for one step on synthetic rows in which every subset of the fields occurs, saved, exported, and its
bundle must answer as its checkpoint under the gate of `ppmm.export.parity`, in both back ends.

A part is in the matrix by being registered. Passed cases are remembered in ``output/matrix/passed.jsonl`` as long as
the sources of the parts, of the export and of the matrix are the same, so that ``make test-all`` goes on after an
interruption; delete the file to begin anew.

A case takes 2.8 s of processor time, the mean of 47 random ones of the covering arrays (one process,
OMP_NUM_THREADS=1; 1.2 GB at their end). That makes 13 minutes, by calculation, for the 272 on a core of their own. On
a quarter of a core 6 cases a minute were measured: 45 minutes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from itertools import combinations, product
from pathlib import Path
from typing import Any

import paddle
import pytest
from covering import covering_cases
from matrix_cases import Case, matrix_cases, pairs_of
from matrix_run import SyntheticRows, assert_trains_and_exports
from remembered import Progress, Remembered, source_hash

from ppmm.engine.step import TrainStep
from ppmm.registry import ENCODERS, FUSIONS, HEADS, OBJECTIVES, TRUNKS

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    *(ROOT / "ppmm" / package for package in ("models", "objectives", "export", "runtime")),
    *(ROOT / "tests" / "support" / file for file in ("matrix_cases.py", "matrix_run.py", "part_kinds.py")),
]
CASES = matrix_cases()
FEW = (
    Case((("image", "lenet"),), "focal", "gated", "mlp"),
    Case((("text", "embedding_bag"), ("numeric", "rbf")), "uncertainty_weighted", "film", "linear"),
    Case((("image", "cnn"), ("audio", "audio_cnn")), "image_text_matching"),
)
"""Small ones that `make test` runs too, so that it sees when the matrix itself breaks."""


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> SyntheticRows:
    return SyntheticRows(tmp_path_factory.mktemp("matrix"))


@pytest.fixture(scope="session")
def remembered() -> Remembered:
    return Remembered(ROOT / "output" / "matrix" / "passed.jsonl", source_hash(SOURCES, paddle.__version__))


@pytest.fixture(scope="session")
def progress(request: pytest.FixtureRequest) -> Progress:
    return Progress(sum(item.originalname == "test_matrix" for item in request.session.items))


def bert_for(case: Case, request: pytest.FixtureRequest) -> Path | None:
    """Importing PaddleNLP takes seconds: only where a case needs it."""
    needed = any(name == "paddlenlp" for _, name in case.encoders)
    return request.getfixturevalue("tiny_bert") if needed else None


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_matrix(
    case: Case,
    rows: SyntheticRows,
    remembered: Remembered,
    progress: Progress,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    known = str(case) in remembered
    try:
        if not known:
            begin = time.monotonic()
            assert_trains_and_exports(case, rows, tmp_path, bert_for(case, request))
            remembered.add(str(case), time.monotonic() - begin)
    finally:
        if (line := progress.line(not known)) is not None:
            with capsys.disabled():
                print(f"\n{line}", flush=True)


@pytest.mark.parametrize("case", FEW, ids=str)
def test_a_few_of_the_matrix(case: Case, rows: SyntheticRows, tmp_path: Path) -> None:
    report = assert_trains_and_exports(case, rows, tmp_path, None)
    assert report["samples"] == 14 and report["max_abs"] <= report["tolerance"] == 1e-4


def test_a_part_that_one_step_leaves_alone_is_found(
    rows: SyntheticRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TrainStep, "__call__", lambda step, batches, number: {"loss": 1.0})
    with pytest.raises(AssertionError, match=r"as they were: model.encoders.image, model.fusion, model.head"):
        assert_trains_and_exports(FEW[0], rows, tmp_path, None)


def test_every_part_is_in_it() -> None:
    names = {role: {getattr(case, role) for case in CASES} for role in ("fusion", "head", "trunk", "objective")}
    registries = {"fusion": FUSIONS, "head": HEADS, "trunk": TRUNKS, "objective": OBJECTIVES}
    for role, registry in registries.items():
        assert names[role] - {None} == set(registry.names())
    assert {name for case in CASES for _, name in case.encoders} == set(ENCODERS.names())
    assert {len(case.encoders) for case in CASES} == {1, 2, 3}


EMBEDDING = {"deep_cca", "image_text_matching", "info_nce", "siglip", "supervised_contrastive", "triplet"}
EITHER = {"weighted_sum", "uncertainty_weighted"}
NO_CLASS = {"bce", "huber", "mse"}
"""What learns no single class; ``decision`` averages the probabilities of classes."""


def test_every_pair_that_can_meet_does() -> None:
    """Against the lists that a reader of the documentation would write; parts from plugins are in neither."""
    covered = {pair for case in CASES for pair in pairs_of(case)}
    classifying = set(OBJECTIVES.names()) - EMBEDDING
    for encoder in ENCODERS.names():
        assert all((("encoder", encoder), ("fusion", fusion)) in covered for fusion in FUSIONS.names())
        assert all((("encoder", encoder), ("objective", name)) in covered for name in OBJECTIVES.names())
        assert all((("encoder", encoder), ("fields", count)) in covered for count in "123")
    for fusion in FUSIONS.names():
        wanted = classifying - (NO_CLASS if fusion == "decision" else set())
        assert {name for name in classifying if (("fusion", fusion), ("objective", name)) in covered} == wanted
        assert all((("fields", count), ("fusion", fusion)) in covered for count in "123")
        heads = set(HEADS.names()) if fusion == "decision" else set(HEADS.names()) - {"identity"}
        assert {head for head in HEADS.names() if (("fusion", fusion), ("head", head)) in covered} == heads


def test_nothing_impossible_is_in_it() -> None:
    for case in CASES:
        if case.fusion is None:
            assert case.head is None and len(case.encoders) >= 2 and case.objective in EMBEDDING | EITHER
        else:
            assert case.head is not None and case.objective not in EMBEDDING
        assert 1 <= len(case.encoders) <= 3 and len({field for field, _ in case.encoders}) == len(case.encoders)
    towers = {case.objective: set() for case in CASES if case.fusion is None}
    for case in CASES:
        if case.fusion is None:
            towers[case.objective] |= {name for _, name in case.encoders}
    assert all(names == set(ENCODERS.names()) for names in towers.values()) and set(towers) == EMBEDDING | EITHER


def test_no_case_is_twice_in_it() -> None:
    assert len({str(case) for case in CASES}) == len(CASES)


def test_a_covering_array_is_small_legal_and_the_same_each_time() -> None:
    """Four factors of three values need nine cases; one pair is forbidden here."""
    factors = {factor: [0, 1, 2] for factor in "abcd"}

    def pairs(choice: Mapping[str, int]) -> set[Any]:
        return set(combinations(sorted(choice.items()), 2))

    def is_legal(choice: Mapping[str, int]) -> bool:
        return (choice["a"], choice["b"]) != (0, 0)

    wanted = {pair for values in product(range(3), repeat=4) for pair in pairs(dict(zip("abcd", values, strict=True)))}
    wanted = sorted(wanted - {(("a", 0), ("b", 0))})
    found = covering_cases(factors, pairs, wanted, dict, is_legal)
    assert set().union(*map(pairs, found)) == set(wanted) and all(map(is_legal, found)) and 9 <= len(found) <= 14
    assert found == covering_cases(factors, pairs, wanted, dict, is_legal)
    with pytest.raises(ValueError, match="no legal case has"):
        covering_cases(factors, pairs, [(("a", 0), ("b", 0))], dict, is_legal)


# --- what passed is remembered --------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "a.py").write_text("x = 1\n")
    return folder


def test_passed_cases_are_remembered_until_a_source_changes(source: Path, tmp_path: Path) -> None:
    path, sources = tmp_path / "cache" / "passed.jsonl", source_hash([source])
    first = Remembered(path, sources)
    first.add("one", 1.234)
    first.add("two", 2.0)
    with path.open("a") as file:
        file.write('{"case": "torn')  # killed while writing
    again = Remembered(path, source_hash([source]))
    assert "one" in again and "two" in again and "torn" not in again and again.seconds["one"] == 1.23
    again.add("three", 3.0)
    assert "three" in Remembered(path, sources)
    (source / "a.py").write_text("x = 2\n")
    changed = source_hash([source])
    assert changed != sources and "one" not in Remembered(path, changed)


def test_the_hash_knows_names_and_versions(source: Path) -> None:
    hashes = {source_hash([source]), source_hash([source], "3.1"), source_hash([source], "3.2")}
    (source / "a.py").rename(source / "b.py")
    assert len(hashes | {source_hash([source])}) == 4


def test_progress_counts_only_what_was_run(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 12.0, 30.0, 31.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    progress = Progress(4)
    assert progress.line(False) is None
    assert progress.line(True) == "case 2 of 4 (1 passed before), 5 a minute, 0 min left"
    assert progress.line(True) == "case 3 of 4 (1 passed before), 4 a minute, 0 min left"
    assert progress.line(False) == "case 4 of 4 (2 passed before), 4 a minute, 0 min left"
