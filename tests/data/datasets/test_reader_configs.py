"""Every config of a published data set builds its batch and model from files in the published layout."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ppmm.app.check import check_config
from ppmm.app.experiment import open_experiment
from ppmm.config import ConfigNode
from ppmm.data.timit_corpus import CORE_TEST, DEVELOPMENT
from ppmm.errors import DataError
from ppmm.registry import DATASETS

CONFIGS = Path(__file__).parents[3] / "configs"


def idx(values):
    values = np.asarray(values, np.uint8)
    return b"\0\0\x08" + bytes([values.ndim]) + np.array(values.shape, ">u4").tobytes() + values.tobytes()


def digits(tree):
    rng = np.random.default_rng(0)
    for part in ("train", "t10k"):
        tree.binary(f"{part}-images-idx3-ubyte", idx(rng.integers(0, 256, (60, 28, 28))))
        tree.binary(f"{part}-labels-idx1-ubyte", idx(np.arange(60) % 10))


def cifar(tree):
    names = "airplane automobile bird cat deer dog frog horse ship truck"
    tree.text("cifar-10-batches-bin/batches.meta.txt", names.replace(" ", "\n"))
    records = b"".join(bytes([label]) + bytes(3072) for label in range(10))
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        tree.binary(f"cifar-10-batches-bin/{name}.bin", records)


def coco(tree):
    for part in ("train2017", "val2017"):
        tree.picture(f"{part}/000000000001.jpg")
        tree.picture(f"{part}/000000000002.jpg")
        images = [{"id": number, "file_name": f"{number:012d}.jpg"} for number in (1, 2)]
        things = [{"image_id": number, "category_id": number, "area": 5, "iscrowd": 0} for number in (1, 2)]
        kinds = [{"id": 1, "name": "person"}, {"id": 2, "name": "bicycle"}]
        tree.json(f"annotations/instances_{part}.json", {"images": images, "annotations": things, "categories": kinds})
        told = [{"image_id": number, "caption": "two dogs run run run"} for number in (1, 1, 2)]
        tree.json(f"annotations/captions_{part}.json", {"images": images, "annotations": told})


def karpathy(tree):
    images = []
    for number, split in enumerate(("train", "restval", "val", "val", "test", "test")):
        folder = "train2014" if split == "train" else "val2014"
        name = f"COCO_{folder}_{number:012d}.jpg"
        tree.picture(f"{folder}/{name}")
        told = [{"raw": "two dogs run run run", "tokens": [], "imgid": number, "sentid": k} for k in range(5)]
        images.append({"filepath": folder, "filename": name, "split": split, "cocoid": number, "sentences": told})
    tree.json("dataset_coco.json", {"images": images, "dataset": "coco"})


def flickr8k(tree):
    tree.text("Flickr8k_text/Flickr8k.token.txt", flickr_captions(tree, "Flicker8k_Dataset"))
    for part, number in (("train", 0), ("dev", 1), ("test", 2)):
        names = [f"{number}_{k}.jpg" for k in range(2)]
        tree.text(f"Flickr8k_text/Flickr_8k.{part}Images.txt", "\n".join(names) + "\n")


def flickr30k(tree):
    tree.text("results_20130124.token", flickr_captions(tree, "flickr30k-images"))
    for number, part in enumerate(("train", "val", "test")):
        tree.text(f"{part}.txt", f"{number}_0\n{number}_1\n")


def flickr8k_audio(tree):
    flickr8k(tree)
    wavs = [(f"{number}_{k}_0.wav", f"{number}_{k}.jpg") for number in range(3) for k in range(2)]
    tree.text("flickr_audio/wav2capt.txt", "".join(f"{wav} {name} #0\n" for wav, name in wavs))
    tree.text("flickr_audio/wav2spk.txt", "".join(f"{wav} 1\n" for wav, _ in wavs))
    for wav, _ in wavs:
        tree.wav(f"flickr_audio/wavs/{wav}", 3000, 16000)


def audiocaps(tree):
    for part in ("train", "val", "test"):
        rows = [f"{number},video{number},10,wind wind wind blows" for number in range(3)]
        tree.text(f"{part}.csv", "audiocap_id,youtube_id,start_time,caption\n" + "\n".join(rows))
        for number in range(3):
            tree.wav(f"audio/{part}/video{number}_10.wav", 3000, 32000)


def clotho(tree):
    header = "file_name,caption_1,caption_2,caption_3,caption_4,caption_5\n"
    for part in ("development", "validation", "evaluation"):
        tree.text(f"clotho_captions_{part}.csv", header + "a.wav,rain,rain,rain,rain,rain\nb.wav,c,c,c,c,c\n")
        for name in ("a.wav", "b.wav"):
            tree.wav(f"{part}/{name}", 4000, 44100)


def flickr_captions(tree, folder):
    """The lines of a token file: five captions for each of six pictures, which are made too."""
    names = [f"{number}_{k}.jpg" for number in range(3) for k in range(2)]
    for name in names:
        tree.picture(f"{folder}/{name}")
    return "".join(f"{name}#{k}\tA dog runs runs runs .\n" for name in names for k in range(5))


def esc(tree):
    rows = [(f"{fold}-1-A-{kind}.wav", fold, kind) for fold in range(1, 6) for kind in (0, 1)]
    lines = [f"{name},{fold},{kind},{('dog', 'rooster')[kind]},True,{fold}{kind},A" for name, fold, kind in rows]
    tree.text("meta/esc50.csv", "filename,fold,target,category,esc10,src_file,take\n" + "\n".join(lines))
    for name, _, _ in rows:
        tree.wav(f"audio/{name}", 22050, 44100)


def fsdd(tree):
    for number in range(12):
        for digit in range(2):
            tree.wav(f"recordings/{digit}_ann_{number}.wav", 2000)


def imagenet(tree):
    for split in ("train", "val"):
        for synset in ("n01440764", "n01443537"):
            tree.picture(f"{split}/{synset}/{synset}_1.JPEG", size=(40, 30))


def nlvr(tree):
    for split in ("train", "dev", "test"):
        rows = [
            {"sentence": "one box there", "label": label, "identifier": f"{number}-0", "directory": str(number)}
            for number, label in enumerate(["true", "false", "true", "true", "false", "false"])
        ]
        tree.json_lines(f"{split}/{split}.json", rows)
        for row in rows:
            for k in range(6):
                tree.picture(f"{split}/images/{row['directory']}/{split}-{row['identifier']}-{k}.png", size=(20, 80))


def nlvr2(tree):
    for split, more in (("train", {"directory": 3}), ("dev", {}), ("test1", {})):
        rows = [
            {"identifier": f"{split}-{k}-0-0", "sentence": "two dogs run", "label": label, **more}
            for k, label in enumerate(("True", "False"))
        ]
        tree.json_lines(f"data/{split}.json", rows)
        for k in range(2):
            for side in range(2):
                tree.picture(f"images/{split}/{'3/' if more else ''}{split}-{k}-0-img{side}.png")


def timit(tree):
    speakers = [("TRAIN", "fcjf0"), ("TRAIN", "mrdm0")]
    speakers += [("TEST", speaker) for speaker in CORE_TEST.split() + DEVELOPMENT.split()]
    for part, speaker in speakers:
        place = f"{part}/DR1/{speaker.upper()}/SX1"
        tree.sphere(f"{place}.WAV", 1600)
        tree.text(f"{place}.PHN", "0 800 h#\n800 1600 aa\n")
        tree.text(f"{place}.WRD", "0 1600 ah\n")
        tree.text(f"{place}.TXT", "0 1600 Ah.\n")


def vqa(tree):
    for part in ("train2014", "val2014"):
        asked = [{"question_id": k, "image_id": 1, "question": "what is it what what"} for k in range(2)]
        given = [
            {"question_id": k, "multiple_choice_answer": answer, "answers": [{"answer": answer}]}
            for k, answer in enumerate(("cat", "dog"))
        ]
        tree.json(f"v2_OpenEnded_mscoco_{part}_questions.json", {"questions": asked})
        tree.json(f"v2_mscoco_{part}_annotations.json", {"annotations": given})
        tree.picture(f"{part}/COCO_{part}_000000000001.jpg")


BUILDERS = {
    "audiocaps/retrieval": audiocaps, "clotho/retrieval": clotho, "flickr8k_audio/retrieval": flickr8k_audio,
    "flickr8k_audio/matching": flickr8k_audio,
    "cifar10/cifar10": cifar, "coco/largest_object": coco, "coco/retrieval": coco,
    "coco/retrieval_karpathy": karpathy, "esc50/esc50": esc,
    "flickr8k/matching": flickr8k, "flickr8k/retrieval": flickr8k, "flickr30k/retrieval": flickr30k,
    "fsdd/conformer": fsdd, "fsdd/fsdd": fsdd, "fsdd/rnn": fsdd, "fsdd/wave": fsdd,
    "mnist/lenet": digits, "mnist/rbf": digits, "mnist/vit": digits,
    "imagenet/resnet18": imagenet, "mnist/mnist": digits, "mnist/fashion_mnist": digits, "nlvr/nlvr": nlvr,
    "nlvr2/nlvr2": nlvr2, "timit/phones": timit, "timit/speaker_sex": timit,
    "vqa/vqa_v2": vqa,
}  # fmt: skip


@pytest.mark.parametrize("name", BUILDERS)
def test_the_config_reads_the_published_layout(tree, name, capsys):
    BUILDERS[name](tree)
    path = CONFIGS / f"{name}.yaml"
    text = path.read_text(encoding="utf-8")
    splits = [split for split in ("train", "val", "test") if f"\n  {split}: {{" in text]
    overrides = [*(f"data.{split}.root={tree}" for split in splits), "loader.batch_size=2"]
    overrides += [f"data.{split}.flickr8k={tree}" for split in splits if "flickr8k: data" in text]
    check_config(str(path), overrides)
    printed = capsys.readouterr().out
    assert all(f"rows of {split}" in printed for split in splits) and re.search(
        "output (logits|image_embed|audio_embed)", printed
    )


def damaged(content, rng):
    """A few bytes flipped, cut out or put in, or the end cut off."""
    content = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(len(content) + 1))
        match int(rng.integers(5)):
            case 0:
                content[place : place + 1] = bytes([int(rng.integers(256))])
            case 1:
                del content[place : place + int(rng.integers(1, 20))]
            case 2:
                content[place:place] = NASTY[int(rng.integers(len(NASTY)))]
            case 3:
                del content[place:]
            case 4:
                content[place:place] = content[: int(rng.integers(200))]
    return bytes(content)


NASTY = [
    b"\0",
    b"\xff\xfe",
    b"../",
    b'"',
    b"9" * 5000,
    "²".encode(),
    b"\\ud800",
    b"\n\n",
    b"null",
    b"{}",
    b"-1",
    b",",
    b"[[",
    b"NaN",
]


@pytest.mark.parametrize("name", BUILDERS)
def test_damaged_files_end_in_a_data_error_or_a_sample(tree, name):
    BUILDERS[name](tree)
    data = open_experiment(CONFIGS / f"{name}.yaml")["data"]
    lists = sorted(path for path in tree.root.rglob("*") if path.is_file() and path.suffix not in MEDIA)
    files = lists or sorted(path for path in tree.root.rglob("*") if path.is_file())
    rng = np.random.default_rng(len(name))
    refused = 0
    for _ in range(60):
        path = files[int(rng.integers(min(len(files), 8)))]
        sound = path.read_bytes()
        path.write_bytes(damaged(sound, rng))
        try:
            for split in ("train", "val"):
                node = data[split]
                rows = DATASETS.get(node["name"])(
                    **{**{k: plain(v) for k, v in node.items() if k != "name"}, "root": str(tree)}
                )
                assert all(row["id"] for row in rows)
        except DataError as error:
            refused += 1
            assert len(str(error)) > 20
        path.write_bytes(sound)
    assert refused > 10 or not lists


def plain(value):
    return list(value) if isinstance(value, ConfigNode | list | tuple) else value


MEDIA = (".jpg", ".JPEG", ".png", ".wav", ".WAV")


def test_every_config_of_a_reader_is_tried():
    folders = {name.split("/")[0] for name in BUILDERS}
    found = [path.relative_to(CONFIGS) for folder in folders for path in (CONFIGS / folder).glob("*.yaml")]
    trained = Path(__file__).parents[2].joinpath("e2e", "test_reasoning.py").read_text(encoding="utf-8")
    missing = {path.with_suffix("").as_posix() for path in found} - set(BUILDERS)
    assert not {name for name in missing if f'"{name}"' not in trained}
