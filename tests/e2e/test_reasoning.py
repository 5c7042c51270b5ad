"""Every reasoning config trains a step, end to end, on tiny files in the published layout of its data set."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from ppmm.app.checkpoints import load_checkpoint
from ppmm.app.experiment import build_rows
from ppmm.app.export import export_checkpoint
from ppmm.app.infer import infer_sample
from ppmm.app.train import train
from ppmm.data.datasets.nlvr_templates import NlvrTemplates
from ppmm.errors import ConfigError, DataError
from ppmm.runtime import Predictor

CONFIGS = Path(__file__).parents[2] / "configs"
SMALL = ["trainer.max_steps=1", "trainer.epochs=1", "loader.workers=0", "loader.batch_size=4", "loader.bucket_by=null"]
LABELS = ["false", "true", "true"]


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def picture(path, size=(40, 160)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())


def block(colour, level):
    return {"type": "square", "color": colour, "x_loc": 40, "y_loc": 80 - 21 * level, "size": 20}


def nlvr(root):
    """Seven directories of dev and test with three statements each, on a tower; its lowest block is yellow in some."""
    for split in ("dev", "test"):
        rows = []
        for directory in range(7):
            for place, label in enumerate(LABELS):
                base = "Yellow" if (directory + place) % 2 else "Black"
                name = f"{directory}{place}-{place}"
                rows.append(
                    {
                        "sentence": f"There is a {base} block at the base.", "label": label, "identifier": name,
                        "directory": str(directory), "structured_rep": [[block(base, 0), block("#0099ff", 1)], [], []],
                    }
                )  # fmt: skip
                for order in range(6):
                    picture(root / split / "images" / str(directory) / f"{split}-{name}-{order}.png")
        text(root / split / f"{split}.json", "\n".join(json.dumps(row) for row in rows))
    return [f"data.val.root={root}"]


def vqa(root):
    for part in ("train2014", "val2014"):
        asked = [{"question_id": k, "image_id": 1, "question": "what is this"} for k in range(4)]
        given = [
            {
                "question_id": k, "multiple_choice_answer": answer, "answer_type": "other",
                "answers": [{"answer": said} for said in [answer] * 8 + ["bird"] * 2],
            }
            for k, answer in enumerate(("cat", "dog", "cat", "dog"))
        ]  # fmt: skip
        text(root / f"v2_OpenEnded_mscoco_{part}_questions.json", json.dumps({"questions": asked}))
        text(root / f"v2_mscoco_{part}_annotations.json", json.dumps({"annotations": given}))
        picture(root / part / f"COCO_{part}_000000000001.jpg")
    small = ["fields.image.size=[32, 32]", "fields.question.tokenizer.min_count=1", "model.fusion.dim=16"]
    small += ["model.encoders.image={name: resnet, depth: 10, width: 0.125}", "model.encoders.question.dim=16"]
    return [f"data.train.root={root}", f"data.val.root={root}", "model.head.hidden=16", *small]


def flickr8k(root):
    names = [f"{number}_a.jpg" for number in range(12)]
    lines = [f"{name}#{k}\ta dog number {k} runs\n" for name in names for k in range(5)]
    text(root / "Flickr8k_text" / "Flickr8k.token.txt", "".join(lines))
    for start, part in enumerate(("train", "dev", "test")):
        text(root / "Flickr8k_text" / f"Flickr_8k.{part}Images.txt", "\n".join(names[start::3]))
    for name in names:
        picture(root / "Flicker8k_Dataset" / name)
    small = ["fields.image.size=[32, 32]", "model.encoders.image={name: resnet, depth: 10, width: 0.125}"]
    small += ["model.encoders.caption.dim=16", "fields.caption.tokenizer.min_count=1", "model.dim=16"]
    return [*(f"data.{split}.root={root}" for split in ("train", "val", "test")), *small]


def flickr8k_audio(root):
    """Two spoken captions of each picture."""
    small = flickr8k(root)
    names = [f"{number}_a.jpg" for number in range(12)]
    spoken = [(f"{name[:-4]}_{k}.wav", name, k) for name in names for k in (0, 3)]
    text(root / "flickr_audio" / "wav2capt.txt", "".join(f"{wav} {name} #{k}\n" for wav, name, k in spoken))
    rng = np.random.default_rng(0)
    (root / "flickr_audio" / "wavs").mkdir()
    for wav, _, _ in spoken:
        soundfile.write(root / "flickr_audio" / "wavs" / wav, rng.normal(0, 0.1, 3200), 16000)
    small += [f"data.{split}.flickr8k={root}" for split in ("train", "val", "test")]
    sizes = ["dim=16", "channels=[4, 8]"]
    return [*small, "fields.audio.n_mels=16", *(f"model.encoders.audio.{size}" for size in sizes)]


NLVR_SMALL = ["model.encoders.image.width=0.125", "model.encoders.text.dim=16", "model.fusion.dim=16"]
PARTS = (
    "data.train.parts=[{name: nlvr, root: %s, split: dev}, {name: nlvr_templates, root: %s, split: dev, statements: 9}]"
)


def test_nlvr_with_templates(tmp_path):
    more = nlvr(tmp_path / "nlvr")
    more += [
        *NLVR_SMALL[1:],
        "model.encoders.image.channels=[4]",
        PARTS % (tmp_path / "nlvr", tmp_path / "nlvr"),
        "loader.sampler.weights=[1, 1]",
    ]
    figures = run("nlvr/nlvr_dev_test", tmp_path, more)
    # the six orders of a picture are the same picture here, so a statement is right in all or in none
    assert figures["accuracy"] == pytest.approx(figures["consistency"])


def test_nlvr_without_templates_and_without_pictures(tmp_path):
    more = nlvr(tmp_path / "nlvr")
    assert run("nlvr/nlvr_dev_test_human", tmp_path, [*more, *NLVR_SMALL])["loss"] > 0
    figures = run("nlvr/nlvr_dev_test_text", tmp_path, more)
    assert figures["accuracy"] in (pytest.approx(1 / 3), pytest.approx(2 / 3), pytest.approx(0.5))


def test_vqa(tmp_path):
    figures = run("vqa/vqa_v2", tmp_path, vqa(tmp_path / "vqa"))
    # eight of ten say the right answer (1), none of them the other one of the two classes (0)
    assert figures["vqa_accuracy"] == pytest.approx(figures["accuracy"])


def test_image_text_matching(tmp_path):
    figures = run("flickr8k/matching", tmp_path, flickr8k(tmp_path / "flickr8k"))
    assert 0 <= figures["matching_match_accuracy"] <= 1 and 0 <= figures["mean_recall"] <= 1
    assert figures["loss"] == pytest.approx(figures["contrast_loss"] + figures["matching_loss"], rel=1e-4)


def test_matching_of_triples_from_training_to_the_bundle(tmp_path):
    """Picture, caption and speech: three pairs, each with a head and negatives of its own."""
    more = [*flickr8k_audio(tmp_path / "data"), "trainer.max_steps=4", "trainer.epochs=2"]
    figures = run("flickr8k_audio/matching", tmp_path, more)
    names = ("image_caption", "image_audio", "caption_audio")
    each = [figures[f"matching_{name}_match_accuracy"] for name in names]
    assert figures["matching_match_accuracy"] == pytest.approx(np.mean(each), abs=1e-5)
    assert {"caption_to_audio_r1", "audio_to_image_r1"} <= set(figures)

    best = str(tmp_path / "output" / "flickr8k_audio_matching" / "checkpoints" / "best")
    report = export_checkpoint(best, str(tmp_path / "bundle"), samples=6)
    assert set(report["backends"]) == {"onednn", "plain"} and report["max_abs"] <= 1e-4
    assert {f"without {field}" for field in ("image", "caption", "audio")} <= set(report["backends"]["plain"]["cases"])
    rows = build_rows(load_checkpoint(best).config, "test")
    triple = {field: rows[1][field] for field in ("image", "caption", "audio")}
    pair = {field: triple[field] for field in ("caption", "audio")}
    whole, half = Predictor(tmp_path / "bundle").predict([triple, pair])
    assert set(whole["matches"]) == set(names) and set(half["matches"]) == {"caption_audio"}
    assert half["matches"]["caption_audio"] == pytest.approx(whole["matches"]["caption_audio"], abs=1e-4)
    assert infer_sample(best, triple)["matches"] == pytest.approx(whole["matches"], abs=1e-4)


def test_matching_of_a_pair_that_the_model_does_not_answer(tmp_path):
    more = [*flickr8k_audio(tmp_path / "data"), "model.matching=[[image, caption], [audio, image]]"]
    with pytest.raises(ConfigError) as caught:
        run("flickr8k_audio/matching", tmp_path, more)
    message = str(caught.value)
    assert "a term reads 'image_audio_match', but two_tower gives" in message and "'caption_audio_match'" in message


def run(name, folder, overrides):
    return train(str(CONFIGS / f"{name}.yaml"), [*SMALL, f"output={folder / 'output'}", *overrides])


def test_statements_of_templates_are_as_often_true_as_false(tmp_path):
    nlvr(tmp_path)
    rows = NlvrTemplates(str(tmp_path), "dev", [0, 1, 2], statements=20, pictures=2)
    assert len(rows) == 80
    labels: dict[str, list[str]] = {}
    for row in rows:
        labels.setdefault(row["text"], []).append(row["label"])
        assert row["image"].parent.name in "012" and row["image"].is_file()
        yellow = (int(row["image"].name[4]) + int(row["image"].name[5])) % 2  # dev-<directory><place>-<place>-<order>
        if row["text"] == "there is a yellow block":
            assert row["label"] == ("true" if yellow else "false")
    assert all(found.count("true") * 2 == len(found) for found in labels.values())
    assert "there is a yellow block" in labels
    with pytest.raises(DataError, match="suffice for 0 of 20 statements with 9 true and 9 false"):
        NlvrTemplates(str(tmp_path), "dev", [0], statements=20, pictures=9)
    with pytest.raises(ConfigError, match="at least 1"):
        NlvrTemplates(str(tmp_path), "dev", statements=0)
