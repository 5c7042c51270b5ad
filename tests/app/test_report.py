"""The report: what stands in the page, read back with a parser and with decoders."""

import base64
import io
import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
from html_page import ATTACK, Page

from ppmm.app.report import GalleryItem, read_history, write_report
from ppmm.app.report_confusion import confusion_picture, top_confusions
from ppmm.app.report_figures import curve_pictures, format_number
from ppmm.app.report_gallery import MAX_CARDS, MEDIA_BYTES, make_cards
from ppmm.errors import DataError


def item(name: str = "row", probability: float = 0.5, true: str = "a", predicted: str = "b", **fields) -> GalleryItem:
    kinds = {"image": "image", "audio": "audio", "question": "text"}
    return GalleryItem(name, true, predicted, probability, fields, kinds)


def write(tmp_path: Path, **changes) -> tuple[str, Page]:
    values = {"config_text": "a: 1\n", "history": [], "figures": {}, "details": {}, "gallery": [], "facts": {}}
    path = tmp_path / "run" / "report.html"
    write_report(path, changes.pop("title", "digits"), **{**values, **changes})
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


def decode(uri: str) -> tuple[str, bytes]:
    head, content = uri.split(";base64,")
    return head, base64.b64decode(content)


HISTORY = [
    {"step": 10, "epoch": 0, "learning_rate": 0.1, "train": {"loss": 2.0}},
    {"step": 20, "epoch": 0, "learning_rate": 0.05, "train": {"loss": math.nan}},
    {"step": 30, "epoch": 1, "learning_rate": 0.0, "train": {}, "val": {"loss": 1.5, "accuracy": 0.75}},
]
LABELS = ["cat", "<b>dog", "$x"]
COUNTS = [[8, 2, 0], [0, 0, 0], [5, 0, 15]]
DETAILS = {
    "confusion_matrix": {"target": "answer", "labels": LABELS, "counts": COUNTS},
    "class_report": {
        "target": "answer",
        "classes": {"<b>dog": {"precision": 0.25, "recall": 1.0, "f1": 0.4, "rows": 7}},
    },
}


def test_an_empty_report_is_a_page(tmp_path):
    text, page = write(tmp_path)
    assert text.startswith("<!DOCTYPE html>")
    assert page.texts("h1") == page.texts("title") == ["digits"]
    assert "No history" in page.all("section")[1]["text"]
    assert not page.all("svg") and not page.all("li", "card")
    assert page.texts("pre") == ["a: 1"]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["report.html"]


def test_the_page_refers_to_nothing_outside_and_its_ids_are_unique(tmp_path):
    rows = [item(image=np.zeros((4, 4), np.uint8), audio=(np.zeros(800), 8000), question="why?")]
    _, page = write(tmp_path, history=HISTORY, details=DETAILS, gallery=rows, figures={"val": {"loss": 1.0}})
    ids = [found["attrs"]["id"] for found in page.elements if "id" in found["attrs"]]
    assert len(ids) == len(set(ids))
    for found in page.elements:
        for name in ("src", "href", "xlink:href", "srcset", "action", "data"):
            target = (found["attrs"].get(name) or "").strip()
            assert target.startswith(("data:", "#")) or target == ""
            assert not target.startswith("#") or target[1:] in ids
    assert not page.all("script")
    assert len(page.all("svg", "plot")) == 4  # loss, accuracy, learning rate, confusion matrix
    scrolling = [found["attrs"] for found in page.elements if "scroll" in (found["attrs"].get("class") or "").split()]
    assert scrolling and all(attrs["tabindex"] == "0" and attrs["aria-label"] for attrs in scrolling)
    assert all(found["attrs"]["alt"] for found in page.all("img"))


def test_text_of_users_is_escaped_everywhere(tmp_path):
    row = GalleryItem(ATTACK, ATTACK, ATTACK + "2", 0.5, {"q": ATTACK, "i": ATTACK}, {"q": "text", "i": "image"})
    counts = {"target": ATTACK, "labels": [ATTACK, "b"], "counts": [[1, 1], [0, 1]]}
    figures = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "rows": 1}
    text, page = write(
        tmp_path,
        title=ATTACK,
        config_text=ATTACK,
        history=[{"step": 1, "val": {ATTACK: 1.0}}],
        figures={ATTACK: {ATTACK: 1.0}},
        details={"confusion_matrix": counts, "class_report": {"classes": {ATTACK: figures}}, ATTACK: [ATTACK]},
        gallery=[row],
        facts={ATTACK: ATTACK},
    )
    assert not page.all("script") and "<script" not in text
    assert page.texts("h1") == [ATTACK] == page.texts("pre")[-1:]
    assert page.texts("p")[-2] == ATTACK  # the question; the last paragraph is the footer
    assert page.texts("dd", "wrong") == [ATTACK + "2 ✗"]


def test_characters_that_html_forbids_are_replaced(tmp_path):
    text, _ = write(tmp_path, config_text="a\x00b\x1bc\ud800d")
    assert "a\ufffdb\ufffdc?d" in text


def test_metrics_and_facts(tmp_path):
    figures = {"val": {"loss": 0.25, "accuracy": 0.91234}, "test": {"accuracy": math.nan, "f1": 1234.5678}}
    _, page = write(tmp_path, figures=figures, facts={"steps": "1,200"})
    assert page.texts("tr")[0] == "metricvaltest"
    assert page.texts("td", "n") == ["0.2500", "–", "0.9123", "not finite", "–", "1235"]
    assert page.texts("th") == ["metric", "val", "test", "loss", "accuracy", "f1", "steps"]
    assert page.texts("td")[-1] == "1,200"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (7, "7"), (0.5, "0.5000"), (0.00012345, "0.0001234"), (-3.0, "-3"), (math.inf, "not finite")],
)
def test_numbers_are_short(value, text):
    assert format_number(value) == text


def test_curves_follow_the_history():
    loss, accuracy, rate = curve_pictures(HISTORY)
    assert [loss.title, accuracy.title, rate.title] == ["loss", "accuracy", "learning rate"]
    assert loss.caption == (
        "training: last not finite, lowest 2 at step 10, highest 2 at step 10. Not finite: 1 of 2 values. "
        "validation: last 1.5, lowest 1.5 at step 30, highest 1.5 at step 30."
    )
    assert rate.caption == "learning rate: last 0, lowest 0 at step 30, highest 0.1000 at step 10."
    assert "var(--train)" in loss.svg and "var(--val)" in loss.svg and "var(--train)" not in accuracy.svg
    assert "currentColor" in loss.svg and "#01020" not in loss.svg


def test_a_damaged_history_line_breaks_no_curve():
    lines = [{}, {"step": "x", "train": {"loss": 1.0}}, {"step": 1, "train": None}, {"step": 2, "train": {"loss": "?"}}]
    assert curve_pictures(lines) == []
    assert len(curve_pictures([*lines, {"step": 3, "train": {"loss": math.inf}}])) == 1


def test_a_long_history_is_thinned_by_means():
    lines = [{"step": i, "train": {"loss": float(i % 2)}} for i in range(30_000)]
    (loss,) = curve_pictures(lines)
    assert len(loss.svg) < 20_000
    assert loss.caption.startswith("training: last 1, lowest 0 at step 0, highest 1 at step 1.")


def test_confusion_matrix_shows_counts_and_shares(tmp_path):
    picture = confusion_picture(LABELS, np.array(COUNTS))
    drawn = Page(picture.svg)
    assert [text for text in drawn.texts("text") if text.isdigit()] == ["8", "2", "5", "15"]
    assert {"cat", "<b>dog", "$x", "true", "predicted"} <= set(drawn.texts("text"))
    assert "23 of 30 right" in picture.caption
    kind, content = decode(drawn.all("image")[0]["attrs"]["href"])
    cells = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert kind == "data:image/png"
    shares = np.array([[0.8, 0.2, 0], [0, 0, 0], [0.25, 0, 0.75]])
    np.testing.assert_allclose(cells[..., 3], np.sqrt(shares) * 255, atol=0.5)
    assert (cells[0, 0, 2::-1] == (37, 99, 235)).all() and (cells[0, 1, 2::-1] == (194, 65, 12)).all()


def test_most_frequent_confusions(tmp_path):
    assert top_confusions(LABELS, np.array(COUNTS)) == [("$x", "cat", 5, 0.25), ("cat", "<b>dog", 2, 0.2)]
    _, page = write(tmp_path, details=DETAILS)
    assert page.texts("h2")[2] == "Confusion of answer"
    assert page.texts("tr")[1:3] == ["$xcat525.0 %", "cat<b>dog220.0 %"]


@pytest.mark.parametrize(("classes", "shown"), [(30, True), (31, False), (100, False)])
def test_counts_are_written_for_up_to_thirty_classes(classes, shown):
    counts = np.full((classes, classes), 12_345) + np.eye(classes, dtype=int) * 2_000_000
    drawn = Page(confusion_picture([f"class {i}" for i in range(classes)], counts).svg)
    texts = drawn.texts("text")
    assert texts.count("12k") == (classes * (classes - 1) if shown else 0)
    assert texts.count("2M") == (classes if shown else 0)
    assert ("class 3" in texts) == (classes < 100)


def test_very_many_classes_have_a_table_but_no_picture():
    assert confusion_picture([str(i) for i in range(501)], np.eye(501, dtype=int)) is None


def test_class_table(tmp_path):
    _, page = write(tmp_path, details={"class_report": DETAILS["class_report"]})
    assert page.texts("tr") == ["classprecisionrecallF1rows", "<b>dog0.2501.0000.4007"]
    weak = {str(i): {"precision": 0.0, "recall": 0.0, "f1": i / 400, "rows": i % 2} for i in range(400)}
    _, page = write(tmp_path, details={"class_report": {"classes": weak}})
    names = page.texts("th")[5:]
    assert len(names) == 300 and names[:3] == ["1", "3", "5"]


def test_other_details_are_shown_as_json(tmp_path):
    _, page = write(tmp_path, details={"calibration": {"bins": [1, 2]}})
    assert json.loads(page.all("pre")[0]["text"]) == {"bins": [1, 2]}
    assert page.texts("summary") == ["calibration", "The resolved config"]


def test_small_pictures_are_embedded_without_loss(tmp_path):
    rng = np.random.default_rng(0)
    grey, colour = rng.integers(0, 256, (8, 6), np.uint8), rng.integers(0, 256, (5, 7, 3), np.uint8)
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), colour[:, :, ::-1])
    rows = [item("a", 0.9, image=grey), item("b", 0.8, image=path), item("c", 0.7, image=path.read_bytes())]
    _, page = write(tmp_path, gallery=[*rows, item("d", 0.6, image=str(path))])
    for found, expected in zip(page.all("img", "small"), (grey, colour, colour, colour), strict=True):
        kind, content = decode(found["attrs"]["src"])
        assert kind == "data:image/png"
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(pixels if pixels.ndim == 2 else pixels[:, :, ::-1], expected)
        assert (found["attrs"]["height"], found["attrs"]["width"]) == tuple(map(str, expected.shape[:2]))
    assert [found["attrs"]["alt"] for found in page.all("img")] == [f"image of {name}" for name in "abcd"]


def test_large_pictures_are_reduced():
    picture = np.zeros((600, 1200, 3), np.uint8)
    picture[:, :600] = (255, 0, 0)
    (card,) = make_cards([item(image=picture)])
    part = card.parts[0]
    _, content = decode(part.source)
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert (part.width, part.height, part.small, part.text) == (320, 160, False, "1200 × 600 pixels")
    assert pixels.shape == (160, 320, 3)
    assert pixels[80, 10].tolist() == [255, 0, 0] and pixels[80, 310].tolist() == [0, 0, 0]


def test_recordings_are_embedded_as_wav(tmp_path):
    samples = np.sin(np.arange(8000) * 2 * np.pi * 440 / 16000).astype(np.float32) * 0.5
    path = tmp_path / "a.flac"
    soundfile.write(path, samples, 16000)
    _, page = write(tmp_path, gallery=[item("a", 0.9, audio=(samples, 16000)), item("b", 0.8, audio=path)])
    players = page.all("audio")
    assert len(players) == 2 and all("controls" in found["attrs"] for found in players)
    for found in players:
        kind, content = decode(found["attrs"]["src"])
        played, rate = soundfile.read(io.BytesIO(content))
        assert (kind, rate) == ("data:audio/wav", 16000)
        np.testing.assert_allclose(played, samples, atol=2 / 32768)
    assert "audio · 0.50 s" in page.texts("span", "name")


def test_the_wave_shows_where_it_is_loud():
    samples = np.concatenate([np.zeros(8000), np.tile([0.2, -0.1], 4000)])
    (card,) = make_cards([item(audio=(samples, 16000))])
    strokes = [[float(y) for y in stroke.split(" ")[1].split("V")] for stroke in card.parts[1].wave.split("M")[1:]]
    assert len(strokes) == 160
    assert strokes[0] == [19.7, 20.3]  # silence: a thin line in the middle of 40
    assert strokes[-1] == [-0.3, 30.3]  # 0.2 fills the upper half, -0.1 half of the lower


def test_loud_and_odd_rates_can_be_played():
    (card,) = make_cards([item(audio=(np.tile([2.0, -1.0], 4000), 4000))])
    played, rate = soundfile.read(io.BytesIO(decode(card.parts[1].source)[1]))
    assert rate == 8000 and len(played) == 16000 and np.abs(played).max() <= 1.0


def test_the_page_stays_small(tmp_path):
    rng = np.random.default_rng(0)
    photo, noise = rng.integers(0, 256, (300, 400, 3), np.uint8), rng.normal(0, 0.1, 44100 * 5)
    rows = [item(str(i), i / 60, image=photo, audio=(noise, 44100), question="x" * 5000) for i in range(60)]
    text, page = write(tmp_path, gallery=rows)
    assert len(page.all("li", "card")) == MAX_CARDS == 48
    sizes = [len(decode(found["attrs"]["src"])[1]) for tag in ("img", "audio") for found in page.all(tag)]
    assert len(sizes) == 96 and MEDIA_BYTES * 0.7 < sum(sizes) < MEDIA_BYTES * 1.02
    assert len(text.encode()) < 3_000_000
    played, rate = soundfile.read(io.BytesIO(decode(page.all("audio")[0]["attrs"]["src"])[1]))
    assert rate == 8000
    assert f"audio · the first {len(played) / rate:.2f} s of 5.00 s" in page.texts("span", "name")


def test_confident_errors_come_first(tmp_path):
    rows = [
        item("right", 0.99, "a", "a"),
        item("unsure", 0.2),
        item("unknown", math.nan),
        item("sure", 0.9),
        item("tie", 0.9),
    ]
    _, page = write(tmp_path, gallery=rows)
    names = [name for name in page.texts("h3") if name in {row.id for row in rows}]
    assert names == ["sure", "tie", "unsure", "unknown", "right"]
    assert page.texts("dd")[2::3] == ["90.0 %", "90.0 %", "20.0 %", "unknown", "99.0 %"]
    assert page.texts("dd", "right") == ["a ✓"] and len(page.all("dd", "wrong")) == 4


@pytest.mark.parametrize(
    ("fields", "note"),
    [
        ({"image": Path("/no/such.png")}, "does not exist"),
        ({"image": b"no picture"}, "is not an image"),
        ({"image": np.zeros((3, 3))}, "not float64"),
        ({"image": np.zeros((3, 3, 5), np.uint8)}, "(3, 3, 5)"),
        ({"image": np.zeros((0, 3), np.uint8)}, "(0, 3)"),
        ({"image": None}, "not NoneType"),
        ({"audio": b"no sound"}, "cannot be read"),
        ({"audio": (np.array([math.nan]), 8000)}, "NaN"),
        ({"audio": (np.zeros(0), 8000)}, "no samples"),
        ({"audio": (np.zeros(9), "fast")}, "ValueError"),
        ({"audio": 3}, "not int"),
        ({"question": Path("/no/such.txt")}, "does not exist"),
    ],
)
def test_what_cannot_be_read_is_noted(fields, note):
    (card,) = make_cards([item(**fields)])
    parts = {part.field: part for part in card.parts}
    assert [part.text for name, part in parts.items() if name not in fields] == ["absent", "absent"]
    (name,) = fields
    assert parts[name].form == "note" and note in parts[name].text and parts[name].text.startswith("cannot be shown: ")


def test_numbers_and_fields_of_no_kind_are_text():
    row = GalleryItem("a", "x", "y", 0.5, {"size": np.arange(20) / 2, "extra": b"\xe4\xb8\xad"}, {"size": "numeric"})
    size, extra = make_cards([row])[0].parts
    assert size.text.startswith("0, 0.5, 1, 1.5") and size.text.endswith("7.5, … (20 values)")
    assert (extra.field, extra.form, extra.text) == ("extra", "text", "中")


def test_history_is_read_up_to_a_cut_last_line(tmp_path):
    path = tmp_path / "history.jsonl"
    assert read_history(path) == []
    path.write_text('{"step": 1, "train": {"loss": NaN}}\n{"step": 2}\n{"step": 3, "tr', encoding="utf-8")
    first, second = read_history(path)
    assert math.isnan(first["train"]["loss"]) and second == {"step": 2}
    path.write_bytes(b'{"step": 1}\n\n\x00\x00\xff')
    assert read_history(path) == [{"step": 1}]


@pytest.mark.parametrize("line", ['{"step": 1', "[1]", "3"])
def test_other_damage_of_a_history_is_an_error(tmp_path, line):
    path = tmp_path / "history.jsonl"
    path.write_text(f'{{"step": 1}}\n{line}\n{{"step": 2}}\n', encoding="utf-8")
    with pytest.raises(DataError, match="line 2"):
        read_history(path)


def test_a_failure_leaves_the_previous_report(tmp_path, monkeypatch):
    before, _ = write(tmp_path, title="first")

    def fail(self, content):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(DataError, match="disk full"):
        write(tmp_path, title="second")
    monkeypatch.undo()
    assert (tmp_path / "run" / "report.html").read_text(encoding="utf-8") == before
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["report.html"]


def test_matplotlib_settings_are_left_as_they_were(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    write(tmp_path, history=HISTORY)
    assert dict(matplotlib.rcParams) == before
