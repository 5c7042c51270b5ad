# `make demo` and `make test` work as the first command after a clone: they create .venv with the tested packages.
# `make env` does only that, and nothing where it is complete. PYTHON names what runs its first step (3.8 or later);
# the environment itself gets the first of python3.12, python3.11, python3.10 and python3 that ppmm runs on.

PYTHON ?= python3
RUN := .venv/bin/python
CONFIGS = $(shell find configs -name '*.yaml' -not -path '*/_*/*' | sort)

.PHONY: help env env-serve demo demo-compress results test test-all test-gpu lint check-configs clean

help:
	@echo "make env            the virtual environment .venv with the tested packages"
	@echo "make env-serve      .venv-serve, what a server needs and its load tests: deploy/serve.py, load_test.py"
	@echo "make demo           data, training, evaluation, export, compression and prediction in one go (about 10 minutes)"
	@echo "make demo-compress  after make demo: a small model taught by its model, and a search for ratios (about 30 minutes)"
	@echo "make test           the tests, without those marked slow or gpu"
	@echo "make test-all       with those marked slow (goes on where the matrix of parts was interrupted)"
	@echo "make test-gpu       those marked gpu"
	@echo "make results        every figure of docs/results.md anew; what is done already is kept (output/grids)"
	@echo "make lint           ruff and mypy;  make check-configs: every YAML under configs/"
	@echo "make clean          removes caches; .venv, data/ and output/ stay"

env:
	@$(PYTHON) tools/make_venv.py
	@$(RUN) tools/install_pins.py

env-serve:
	@$(PYTHON) tools/make_venv.py .venv-serve
	@.venv-serve/bin/python tools/install_pins.py requirements-serve.txt

demo: env
	@$(RUN) tools/demo.py

demo-compress: env
	@$(RUN) tools/compress.py -c configs/quickstart_student.yaml --overwrite
	@$(RUN) tools/compress.py -c configs/quickstart.yaml -w output/quickstart/checkpoints/best --overwrite \
		--target size=4x --max-drop 1.0 --trials 4

results: env
	@$(RUN) tools/results.py

test: env env-serve
	@$(RUN) -m pytest

test-all: env env-serve
	@$(RUN) -m pytest -m "not gpu"

test-gpu: env
	@$(RUN) -m ppmm.doctor
	@$(RUN) -m pytest -m gpu

lint: env
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

check-configs: env
	@$(RUN) tools/check.py --no-data -c $(CONFIGS)

clean:
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist ppmm.egg-info
	@find ppmm tools deploy tests -name __pycache__ -type d -prune -exec rm -rf {} +
