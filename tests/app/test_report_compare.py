"""The comparison of runs: what stands on the page, for runs in every state."""

import fcntl
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from html_page import ATTACK, Page

from ppmm.app.report_compare import best_runs, compare_runs, config_differences, more_is_better
from ppmm.app.run_folder import name_apart, read_run
from ppmm.config import loads
from ppmm.errors import DataError

ROOT = Path(__file__).parents[2]


def line(step, loss, seconds, **more):
    return {"step": step, "epoch": 0, "seconds": seconds, "learning_rate": 0.1 / step, "train": {"loss": loss}, **more}


HISTORY = [
    line(10, 2.0, 5.0, samples_per_second=40.0, memory_mb=300.0),
    line(20, None, 10.0, samples_per_second=50.0, memory_mb=400.0, val={"loss": 1.5, "accuracy": 0.5}),
    line(30, 1.0, 15.0, samples_per_second=45.0, memory_mb=350.0, val={"loss": None, "accuracy": 0.75}),
    line(40, 0.5, 20.0, samples_per_second=45.0, memory_mb=350.0, val={"loss": 0.7, "accuracy": 0.625}),
]


def make_run(folder, history=HISTORY, metrics=None, divergence=None, **config):
    folder.mkdir(parents=True)
    trainer = {"epochs": 3, "monitor": "accuracy", "mode": "max"}
    whole = {
        "name": folder.name,
        "model": {"dim": 64, "encoders": {"text": {"depth": 1}}},
        "trainer": trainer,
        **config,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(whole, sort_keys=False))
    (folder / "history.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in history))
    best = folder / "checkpoints" / "best"
    best.mkdir(parents=True)
    versions = {"ppmm": "1.0", "paddle": "3.1.1"}
    (best / "manifest.json").write_text(json.dumps({"parameters": 12345, "versions": versions, "commit": "abc123"}))
    if metrics is not None:
        (folder / "metrics.json").write_text(json.dumps({"split": "val", "best_step": 30, "metrics": metrics}))
    if divergence is not None:
        (folder / "divergence.json").write_text(json.dumps({"step": divergence}))
    return folder


def compared(tmp_path, *folders):
    path = compare_runs([str(folder) for folder in folders], str(tmp_path / "page.html"))
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


def rows(page, region):
    """{first cell: other cells} of the table in a region."""
    found, inside, current = {}, False, None
    for element in page.elements:
        if element["attrs"].get("role") == "region":
            inside = element["attrs"]["aria-label"] == region
        elif element["tag"] == "th" and inside and element["attrs"].get("scope") == "row":
            current = found.setdefault(" ".join(element["text"].split()), [])
        elif element["tag"] == "td" and inside and current is not None:
            current.append(" ".join(element["text"].split()))
    return found


def test_two_runs_side_by_side(tmp_path):
    a = make_run(tmp_path / "a", metrics={"loss": 0.9, "accuracy": 0.75, "own": 1.0})
    b = make_run(
        tmp_path / "b", metrics={"loss": 0.8, "accuracy": 0.7, "own": 2.0},
        model={"dim": 128, "encoders": {"text": {"depth": 1}, "audio": {"depth": 2}}},
    )  # fmt: skip
    text, page = compared(tmp_path, a, b)
    assert rows(page, "Metrics") == {
        "val loss": ["0.9000", "0.8000 ★"], "val accuracy": ["0.7500 ★", "0.7000"], "val own": ["1", "2"]
    }  # fmt: skip
    assert rows(page, "Keys of the config that differ") == {
        "model.dim": ["64", "128"], "model.encoders.audio": ["–", "{depth: 2}"], "name": ["a", "b"]
    }  # fmt: skip
    facts = rows(page, "Runs")
    assert facts["status"] == ["finished"] * 2 and facts["parameters"] == ["12,345"] * 2
    assert facts["seconds of training"] == ["20"] * 2 and facts["steps"] == ["40"] * 2
    assert facts["memory, largest (MB)"] == ["400"] * 2 and facts["best step"] == ["30"] * 2
    assert facts["versions"] == ["ppmm 1.0, paddle 3.1.1, commit abc123"] * 2
    assert "rows left out" not in facts
    titles = ["training loss", "validation loss", "validation accuracy", "learning rate", "samples per second"]
    assert page.texts("h3") == [title for title in titles for _ in range(2)]
    captions = page.texts("figcaption")
    wanted = "{0}: last 0.5000, lowest 0.5000 at step 40, highest 2 at step 10. Not finite: 1 of 4 values."
    assert captions[0] == " ".join(wanted.format(name) for name in "ab")
    assert "lowest 0.5000 at 20 seconds" in captions[1]
    assert "var(--run-0)" in text and "var(--run-1)" in text and "--run-0:" in text


def test_the_page_refers_to_nothing_outside_and_its_ids_are_unique(tmp_path):
    text, page = compared(tmp_path, *(make_run(tmp_path / f"r{i}", HISTORY[:1]) for i in range(9)))
    ids = [found["attrs"]["id"] for found in page.elements if "id" in found["attrs"]]
    assert len(ids) == len(set(ids))
    assert not page.all("script") and not re.search(r"https?://(?!www\.w3\.org)", text)
    for found in page.elements:
        for name in ("src", "href", "srcset", "data"):
            assert (found["attrs"].get(name) or "#").startswith(("#", "data:"))
    assert "r8 (dashed)" in page.texts("th")


def test_text_of_users_is_escaped(tmp_path):
    a = make_run(tmp_path / "a", history=[line(1, 1.0, 1.0, val={ATTACK: 1.0})])
    b = make_run(tmp_path / "b", history=[line(1, 1.0, 1.0, val={ATTACK: 1.0})], note=ATTACK)
    text, page = compared(tmp_path, a, b)
    assert not page.all("script") and "<script" not in text
    assert rows(page, "Keys of the config that differ")["note"] == ["–", ATTACK]


def test_states_of_a_run(tmp_path):
    cut = make_run(tmp_path / "cut")
    with (cut / "history.jsonl").open("a") as file:
        file.write('{"step": 50, "ep')  # what a kill leaves
    again = make_run(tmp_path / "again", metrics={"accuracy": 0.1})
    os.utime(again / "metrics.json", (1, 1))  # resumed after its end
    folders = [
        make_run(tmp_path / "new", history=[]), cut, again,
        make_run(tmp_path / "nan", divergence=17), make_run(tmp_path / "going"),
    ]  # fmt: skip
    holder = subprocess.Popen(
        [sys.executable, "-c", "import fcntl, sys\nf = open(sys.argv[1], 'w')\nfcntl.lockf(f, fcntl.LOCK_EX)\n"
         "print('held', flush=True)\nsys.stdin.read()", str(tmp_path / ".going.lock")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout.readline() == "held\n"
    try:
        _, page = compared(tmp_path, *folders)
    finally:
        holder.communicate("")
    status = ["broken off before its first figures", "broken off", "broken off", "diverged at step 17", "going on"]
    assert rows(page, "Runs")["status"] == status
    assert rows(page, "Runs")["steps"] == ["0", "40", "40", "40", "40"]
    assert rows(page, "Metrics")["val accuracy"] == ["–"] + ["0.7500 ★"] * 4, "of the best epoch so far"
    assert rows(page, "Metrics")["val loss"] == ["–"] + ["not finite"] * 4
    with (tmp_path / ".going.lock").open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # looking at it did not take it away


def test_other_splits(tmp_path):
    run = make_run(tmp_path / "a", metrics={"accuracy": 0.5})
    (run / "metrics_test.json").write_text(json.dumps({"split": "test", "dropped": [], "metrics": {"accuracy": 0.25}}))
    (run / "metrics_x.json").write_text(json.dumps({"split": "x", "dropped": ["audio"], "metrics": {"accuracy": 0.1}}))
    assert read_run(run).metrics == {"val": {"accuracy": 0.5}, "test": {"accuracy": 0.25}}


def test_runs_of_the_same_name_are_told_apart(tmp_path):
    a, b, c = (make_run(tmp_path / place / "digits") for place in ("x/one", "x/two", "y/two"))
    assert name_apart([a, b, c]) == ["one/digits", "x/two/digits", "y/two/digits"]
    _, page = compared(tmp_path, a, b)
    assert page.texts("th")[:3] == ["run", "one/digits", "two/digits"]
    with pytest.raises(DataError, match="digits is given twice"):
        compare_runs([str(a), str(b), f"{a}/../digits"])


def test_what_is_not_a_run(tmp_path):
    (tmp_path / "output" / "empty").mkdir(parents=True)
    with pytest.raises(DataError, match=r"no run at .*gone: there is no such folder"):
        compare_runs([str(tmp_path / "gone")])
    with pytest.raises(DataError, match=r"empty is not a run: it has no config.yaml and history.jsonl$"):
        compare_runs([str(tmp_path / "output" / "empty")])
    make_run(tmp_path / "output" / "a")
    with pytest.raises(DataError, match=r"output is not a run: .*; did you mean .*output/a\?"):
        compare_runs([str(tmp_path / "output")])
    damaged = make_run(tmp_path / "output" / "b", metrics={})
    (damaged / "metrics.json").write_text("{")
    with pytest.raises(DataError, match=r"metrics\.json cannot be read"):
        compare_runs([str(damaged)])


def test_where_the_page_goes(tmp_path):
    a, b = make_run(tmp_path / "a"), make_run(tmp_path / "b")
    assert compare_runs([str(a)]) == a / "compare.html" and compare_runs([str(a), str(b)]) == tmp_path / "compare.html"


@pytest.mark.parametrize(
    ("values", "more", "best"),
    [
        ([1.0, 2.0, 2.0], True, [False, True, True]),
        ([1.0, 2.0, None], False, [True, False, False]),
        ([math.nan, 2.0, 1.0], True, [False, True, False]),
        ([math.nan, 2.0], True, [False, False]),
        ([1.0, 2.0], None, [False, False]),
    ],
)
def test_which_is_best(values, more, best):
    assert best_runs(values, more) == best


def test_whether_more_is_better():
    monitored = [{"trainer": {"monitor": "oddity", "mode": "min"}}]
    assert more_is_better("oddity", monitored) is False and more_is_better("oddity", [{}]) is None
    more = ("accuracy", "top5_accuracy", "macro_f1", "roc_auc", "mean_average_precision", "r2", "text_to_image_R@5")
    less = ("loss", "cross_entropy_loss", "ece", "mae", "rmse", "median_rank")
    assert [more_is_better(name, [{}]) for name in more + less] == [True] * len(more) + [False] * len(less)


def test_differences_of_three():
    texts = ("a: 1\nb: {c: [1, 2]}\n", "a: 1\nb: {c: [1, 3]}\n", "a: 1\nb: {c: [1, 2]}\n'x.y': {z: true}\n")
    found = config_differences([loads(text, file="x") for text in texts])
    assert found == {"b.c": ["[1, 2]", "[1, 3]", "[1, 2]"], "x.y": ["–", "–", "{z: true}"]}
    inside = [loads(f"'x.y': {{z: {value}}}", file="x") for value in ("1", "null")]
    assert config_differences(inside) == {"x.y.z": ["1", "–"]}


def test_the_command(tmp_path):
    run = make_run(tmp_path / "a")
    command = [sys.executable, "tools/report.py", str(run), "--out", str(tmp_path / "x.html")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout == f"comparison: {tmp_path / 'x.html'}\n", done.stderr
    done = subprocess.run([*command[:2], str(tmp_path / "no")], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.startswith("error: no run at") and "Traceback" not in done.stderr
