"""The package ppmm: the bounds it can live with. `make env` installs the tested set, requirements.txt."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def version() -> str:
    """The version that ppmm/__init__.py states."""
    source = (ROOT / "ppmm" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    if found is None:
        raise RuntimeError("ppmm/__init__.py states no __version__")
    return found.group(1)


# Upper bounds: newer ones import only with numpy 2, which OpenCV 4.6 and paddleaudio do not take (ppmm/versions.py).
REQUIRED = [
    "numpy>=1.24,<2",
    "scipy>=1.10,<1.16",
    "pyyaml>=6.0",
    "pillow>=10.0",
    "soundfile>=0.12",
    "tokenizers>=0.20,<0.22",
    "jieba>=0.42",
    "paddleaudio>=1.0.2,<1.1",
    "safetensors>=0.4.3",
    "tqdm>=4.64",
    "jinja2>=3.1",
    "matplotlib>=3.7,<3.11",
    "scikit-learn>=1.3,<1.7",
    "setuptools>=70.1",  # Paddle imports it and does not declare it; Python 3.12 has none
]

EXTRAS = {
    # Neither Paddle wheel is required: both own the module `paddle`, so a machine has one of them.
    "cpu": ["paddlepaddle==3.1.1"],
    # From 3.0 on this wheel is on Paddle's own index only, one per CUDA version: README gives the command.
    "gpu": ["paddlepaddle-gpu==3.1.1"],
    # Training, compression, export. OpenCV is the one that PaddleSlim pins, so `train` and `serve` exclude each other:
    # opencv-python and opencv-python-headless own one module.
    "train": [
        "opencv-python==4.6.0.66",
        "paddlenlp==2.8.1",
        "paddleslim==2.6.0",
        "decorator>=5.0",
        "paddle2onnx==2.1.0",
        "onnx>=1.16,<1.18",
        "onnxruntime>=1.17",
        "onnx-graphsurgeon==0.6.1",
        "visualdl==2.5.3",
        "tensorboardx>=2.6,<3",
        "pandas>=2.0,<3",
        "pyarrow>=14,<20",
        "datasets>=2.16,<4",
        "huggingface-hub>=0.23,<0.26",
        "aistudio-sdk<0.3",
    ],
    # A server reads a bundle: no PaddleNLP, PaddleSlim or VisualDL, and an OpenCV without libGL.
    "serve": ["opencv-python-headless>=4.6.0.66,<4.12", "onnxruntime>=1.17"],
    # tools/data.py: near-duplicate texts, mojibake, languages.
    "curate": ["datasketch>=1.6,<3", "ftfy>=6.1", "py3langid>=0.2.2"],
    # tools/index.py: nearest neighbours.
    "search": ["faiss-cpu>=1.8,<2"],
    # tools/tune.py: search for hyper-parameters.
    "tune": ["optuna>=4.0,<6"],
    # --engine ray: curation and inference on several machines.
    "scale": ["ray>=2.9,<3"],
    "dev": ["pytest>=8.0", "hypothesis>=6.100", "ruff>=0.12", "mypy>=1.11", "types-PyYAML"],
}

setup(
    name="ppmm",
    version=version(),
    description="Train, compress and serve PaddlePaddle models that take image, text and audio together",
    packages=find_packages(include=["ppmm*"]),
    package_data={"ppmm.data.make": ["*.zip", "*.md"], "ppmm.app": ["*.j2"], "ppmm.serving": ["page/*"]},
    python_requires=">=3.10,<3.13",
    install_requires=REQUIRED,
    extras_require=EXTRAS,
)
