# The two commands of the README are `make build` and `make test`; the rest are their parts.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
BOARD ?= pynq-z2
DEMO ?= tiny
READY := $(VENV)/.ready

.PHONY: build test lint fuzz demo bench bench-train clean tools lock
.DEFAULT_GOAL := build

build: $(READY)   ## set up once, then the main job
	$(BIN)/python flows/build.py --board $(BOARD)

test: $(READY) lint   ## set up once, lint, then all tests
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fuzz: $(READY)   ## 500 random networks up the ladder; goes on where it stopped
	$(BIN)/python -m tests.fuzz

demo: $(READY)   ## builds tiny, deploys it into an environment of the oldest Python here, classifies digits
	$(BIN)/ir2net demo --network $(DEMO) --board $(BOARD)

bench: $(READY)   ## measures, writes bench/results.json
	$(BIN)/python -m flows.bench

bench-train: $(READY)   ## measures training steps, writes bench/train.json
	$(BIN)/python -m model.bench

# The set-up is skipped until one of the files that describe it changes. A half-made .venv has no .ready.
$(READY): requirements.lock pyproject.toml | tools
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.5,<1"
	$(BIN)/python flows/uv.py pip install --quiet --python $(BIN)/python -r requirements.lock
	$(BIN)/python flows/uv.py pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

tools:
	@sh flows/check_tools.sh $(PYTHON)

lock: $(READY)   ## after a change of the dependencies
	$(BIN)/python flows/uv.py pip compile --quiet --python-version 3.11 --extra dev --no-header --output-file requirements.lock pyproject.toml

clean:
	rm -rf build
