"""The web page in a real browser, and search, as a person uses them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from ppmm.errors import DataError
from ppmm.hashing import file_sha256
from ppmm.index import VectorIndex
from ppmm.index.living_index import LivingIndex
from ppmm.runtime import Predictor

from served import BUNDLE, ROWS, SAMPLES, TOWERS, form, serving  # isort: skip

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the samples' pictures."""
    folder = tmp_path_factory.mktemp("index") / "index"
    vectors = Predictor(TOWERS).outputs([{"image": s["image"]} for s in SAMPLES], graph="image_tower")["image_embed"]
    items = [{"value": row["image"], "rows": [str(number)]} for number, row in enumerate(ROWS)]
    facts = {"field": "image", "bundle": file_sha256(TOWERS / "bundle.yaml")}
    VectorIndex.build(vectors, items, facts, "hnsw").save(folder)
    return folder


@pytest.fixture(scope="module")
def server(index: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    log = tmp_path_factory.mktemp("log") / "log"
    with serving(f"scenes={TOWERS}", f"digits={BUNDLE}", log=log, index=index) as each:
        yield each


@pytest.fixture(scope="module")
def browser() -> Any:
    if CHROMIUM is None:
        pytest.skip("no Chromium (Debian package chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        each = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield each
        each.close()


def opened(browser: Any, server: Any, width: int = 1000) -> tuple[Any, list[str]]:
    page = browser.new_page(viewport={"width": width, "height": 800})
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.goto(server.url)
    page.wait_for_selector("body[data-ready]")
    return page, problems


def test_upload_and_type_in_any_combination(server: Any, browser: Any) -> None:
    page, problems = opened(browser, server)
    page.select_option("#model", "digits")
    sample = {"image": SAMPLES[0]["image"], "text": SAMPLES[0]["text"]}
    page.set_input_files("#file_image", ROWS[0]["image"])
    page.fill("#text_text", sample["text"])
    page.click("#ask")
    page.wait_for_selector(".bar")
    (expected,) = Predictor(BUNDLE).predict([sample])
    assert page.inner_text("#bars strong") == expected["answer"]
    first, share = page.inner_text(".bar span"), page.inner_text(".bar b")
    assert first == expected["answer"] and share == f"{100 * expected['probabilities'][first]:.1f} %"
    assert "ms" in page.inner_text("#took")
    page.set_input_files("#file_audio", ROWS[0]["audio"])
    page.click("#explain")
    page.wait_for_selector(".overlay span")
    assert page.locator(".overlay span").count() == 36
    assert problems == []


def test_drawing_on_a_phone_in_chinese(server: Any, browser: Any) -> None:
    page, problems = opened(browser, server, width=360)
    page.select_option("#model", "digits")
    page.click("#language")
    assert page.inner_text("#ask") == "提问" and page.evaluate("document.documentElement.lang") == "zh"
    page.click("details summary")
    box = page.locator("canvas.pad").bounding_box()
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 140, box["y"] + 150, steps=5)
    page.mouse.up()
    page.wait_for_timeout(200)
    page.click("#ask")
    page.wait_for_selector(".bar")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert problems == []


def test_by_keyboard_alone(server: Any, browser: Any) -> None:
    page, problems = opened(browser, server)
    page.select_option("#model", "digits")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "text_text":
            break
    page.keyboard.type("which digit do you hear?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".bar")
    assert problems == []


def test_mistakes_are_said(server: Any, browser: Any, tmp_path: Path) -> None:
    page, _ = opened(browser, server)
    page.select_option("#model", "digits")
    page.click("#ask")
    assert page.inner_text("#message") == "Give at least one of the inputs."
    (tmp_path / "broken.png").write_bytes(b"no picture")
    page.set_input_files("#file_image", str(tmp_path / "broken.png"))
    page.click("#ask")
    page.wait_for_selector("#message:text('sample 0 image')")


def test_a_grid_of_what_was_found(server: Any, browser: Any) -> None:
    page, problems = opened(browser, server)
    page.fill("#text_text", "which digit do you see?")
    page.click("#search")
    page.wait_for_selector("#hits img")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.querySelector('#hits img').naturalWidth") > 0
    assert page.locator("#hits figure").count() == 12
    assert problems == []


def test_items_come_and_go(server: Any, index: Path, tmp_path: Path) -> None:
    picture = {"image": SAMPLES[3]["image"]}
    first = httpx.post(f"{server.url}/search?k=3", files=form(picture)).json()
    assert first["hits"][0]["item"] == 3 and first["hits"][0]["score"] == pytest.approx(1, abs=1e-3)
    added = httpx.post(f"{server.url}/items", files=form(picture))
    assert added.status_code == 201 and added.json() == {"item": 12, "count": 13}
    assert httpx.get(f"{server.url}/items/12").content == SAMPLES[3]["image"]
    assert httpx.delete(f"{server.url}/items/3").json() == {"item": 3, "count": 12}
    hits = httpx.post(f"{server.url}/search?k=12", files=form(picture)).json()["hits"]
    assert hits[0]["item"] == 12 and 3 not in [hit["item"] for hit in hits]
    assert httpx.delete(f"{server.url}/items/3").status_code == 400
    assert httpx.get(f"{server.url}/items/99").status_code == 400
    for k in ("0", "101", "x"):
        assert httpx.post(f"{server.url}/search?k={k}", files=form(picture)).status_code in (400, 422)
    assert httpx.post(f"{server.url}/search", files=form({**picture, "text": "a"})).status_code == 400
    assert httpx.post(f"{server.url}/items", files=form({"text": "a"})).status_code == 400
    copy = tmp_path / "index"  # what another start reads, after a kill amid a line
    shutil.copytree(index, copy)
    with (copy / "journal.jsonl").open("a") as file:
        file.write('{"remove": 5')
    again = LivingIndex(copy)
    assert len(again) == 12
    with pytest.raises(DataError, match="no item 3"):
        again.item(3)
    assert again.item(5) and (copy / "journal.jsonl").read_text().endswith("}\n")


def test_an_index_of_another_bundle_is_refused(index: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError, match="built with another bundle"),
        serving(f"digits={BUNDLE}", log=tmp_path / "log", index=index),
    ):
        pass


def test_pages_are_closed_to_other_sites(server: Any) -> None:
    headers = httpx.get(server.url).headers
    assert "default-src 'self'" in headers["content-security-policy"] and headers["x-content-type-options"] == "nosniff"
    assert httpx.get(f"{server.url}/../pyproject.toml").status_code == 404
