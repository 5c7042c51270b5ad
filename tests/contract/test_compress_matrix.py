"""Every encoder, fusion, head, trunk and objective through prune 30 % -> fine-tune 20 steps -> QAT -> INT8 bundle.

Each part once, with partners that are always the same (`matrix_cases.default_cases`), on the rows of the matrix of
parts. Passed cases are remembered in ``output/matrix/compressed.jsonl`` as long as the sources are the same, so that
``make test-all`` goes on after an interruption; what fails is told by name.
"""

from __future__ import annotations

import time
from pathlib import Path

import paddle
import pytest
from compress_run import assert_compresses
from matrix_cases import Case, default_cases
from matrix_run import SyntheticRows, experiment_of
from remembered import Progress, Remembered, source_hash

from ppmm.app.export import export_checkpoint
from ppmm.app.train import train
from ppmm.compress.post_training import ALGORITHMS
from ppmm.config import dump
from ppmm.errors import CompressError
from ppmm.registry import ENCODERS, FUSIONS

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    *(ROOT / "ppmm" / package for package in ("models", "objectives", "export", "runtime", "compress")),
    *(ROOT / "tests" / "support" / file for file in ("matrix_cases.py", "matrix_run.py", "compress_run.py")),
]
CASES = default_cases()
CHAINS = {
    "convolution": Case((("image", "cnn"), ("audio", "audio_cnn")), "cross_entropy", "concat", "mlp"),
    "recurrent": Case((("audio", "cnn_bilstm"), ("text", "bilstm")), "cross_entropy", "gated", "linear"),
    "transformer": Case((("image", "vit"), ("text", "text_transformer")), "info_nce"),
}
"""What `make test` runs too: one tower of each kind."""


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> SyntheticRows:
    return SyntheticRows(tmp_path_factory.mktemp("compress-matrix"))


@pytest.fixture(scope="session")
def remembered() -> Remembered:
    return Remembered(ROOT / "output" / "matrix" / "compressed.jsonl", source_hash(SOURCES, paddle.__version__))


@pytest.fixture(scope="session")
def progress(request: pytest.FixtureRequest) -> Progress:
    return Progress(sum(item.originalname == "test_compress_matrix" for item in request.session.items))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=str)
def test_compress_matrix(
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
            needs_bert = any(name == "paddlenlp" for _, name in case.encoders)
            bert = request.getfixturevalue("tiny_bert") if needs_bert else None
            assert_compresses(case, rows, tmp_path, bert)
            remembered.add(str(case), time.monotonic() - begin)
    finally:
        if (line := progress.line(not known)) is not None:
            with capsys.disabled():
                print(f"\n{line}", flush=True)


@pytest.mark.parametrize("kind", CHAINS)
def test_a_tower_of_each_kind_goes_through_the_chain(kind: str, rows: SyntheticRows, tmp_path: Path) -> None:
    report = assert_compresses(CHAINS[kind], rows, tmp_path, None)
    left = report["steps"][2]["report"]["float32"].values()
    assert ("recurrent" in left) == (kind == "recurrent")


CALIBRATED = {
    **CHAINS,
    "convolution over time": Case((("text", "text_cnn"), ("audio", "wave_cnn")), "cross_entropy", "concat", "mlp"),
}


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("kind", CALIBRATED)
def test_every_calibration_on_towers_of_each_kind(
    kind: str, algorithm: str, rows: SyntheticRows, tmp_path: Path
) -> None:
    """Without training in 8 bits; ``convolution over time`` has what Paddle itself leaves in float32."""
    tree = experiment_of(CALIBRATED[kind], rows, tmp_path, None)
    tree["trainer"] |= {"epochs": 20, "max_steps": 20}
    path = tmp_path / "case.yaml"
    path.write_text(dump(tree), encoding="utf-8")
    train(str(path))
    last = str(tmp_path / "case" / "checkpoints" / "last")
    gate = export_checkpoint(last, str(tmp_path / "bundle"), precision="int8", algorithm=algorithm)
    assert gate["quantisation"]["main"]["algorithm"] == algorithm and gate["min_cosine"] >= gate["least_cosine"]
    done = [layer["name"] for layer in gate["quantisation"]["main"]["layers"] if layer["precision"] == "int8"]
    fields = {field for field, name in CALIBRATED[kind].encoders if name != "bilstm"}  # a table and an LSTM: float32
    assert {name.split(".")[1] for name in done if name.startswith("encoders.")} == fields


def test_a_step_that_does_nothing_is_found(
    rows: SyntheticRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compress_run.STEPS", [{"name": "prune", "criterion": "l1", "ratio": 0.001}])
    with pytest.raises(CompressError, match=r"step 1 prune: .*nothing"):
        assert_compresses(CHAINS["convolution"], rows, tmp_path, None)


def test_every_encoder_and_fusion_is_in_it() -> None:
    assert {name for case in CASES for _, name in case.encoders} == set(ENCODERS.names())
    assert {case.fusion for case in CASES} - {None} == set(FUSIONS.names())
