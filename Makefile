# demo and test work from a fresh clone: Python >= 3.10, make and a C compiler are all they need.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
VENVS  := .venvs
RUNS   ?= 10000000

.PHONY: help demo test test-services bench quality fuzz lint clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# One stamp a set of extras; a change of the sources of the extensions or of the requirements makes them anew.
SOURCES := pyproject.toml setup.py $(wildcard src/rollcore/*.pyx src/rollcore/*.pxd)

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("rollcore needs Python 3.10 or later; set PYTHON=" if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

# A larger set of extras holds the smaller ones: it marks them as done too.
$(VENV)/.demo: $(BIN)/python $(SOURCES)
	@echo "Installing rollcore with TensorFlow for the CPU (once) ..."
	$(BIN)/python -m pip install --quiet -e '.[cpu,plot]'
	@touch $@

$(VENV)/.test: $(BIN)/python $(SOURCES)
	@echo "Installing rollcore with TensorFlow for the CPU and what the tests read (once) ..."
	$(BIN)/python -m pip install --quiet -e '.[cpu,plot,dev]'
	@touch $(VENV)/.demo $@

$(VENV)/.bench: $(BIN)/python $(SOURCES)
	@echo "Installing rollcore and the peers to compare it with (once) ..."
	$(BIN)/python -m pip install --quiet -e '.[cpu,plot,dev,bench]'
	@touch $(VENV)/.demo $(VENV)/.test $@

demo: $(VENV)/.demo  ## write the sample pack, build the dataset, train, generate (under 4 minutes)
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh demo.sh

test: $(VENV)/.test  ## run the tests
	$(BIN)/python -m pytest -q

# The parts do not all fit into one environment; what cannot be installed has its tests skipped by name.
$(VENVS)/.client: $(SOURCES)
	$(PYTHON) -m venv $(VENVS)/client
	$(VENVS)/client/bin/python -m pip install --quiet -e '.[cpu,plot,dev,mlflow,tensorboard]'
	$(VENVS)/client/bin/python -m pip install --quiet playwright || echo "no Playwright: no tests in a browser"
	@touch $@

$(VENVS)/.server: $(SOURCES)
	$(PYTHON) -m venv $(VENVS)/server
	$(VENVS)/server/bin/python -m pip install --quiet -e . mlflow || echo "no MLflow server: no tests with one"
	@touch $@

test-services: $(VENVS)/.client $(VENVS)/.server  ## test against real programs: Chromium, MLflow, TensorBoard
	MLFLOW_SERVER=$(CURDIR)/$(VENVS)/server/bin/mlflow $(VENVS)/client/bin/python -m pytest -q tests/services

bench: $(VENV)/.bench  ## measure against the peers, write benchmarks/RESULTS.md (QUICK=1: a few seconds each, against the stored ratios)
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

quality: $(VENV)/.test  ## train and evaluate the documented recipes, write docs/quality.md (hours, those that have no result yet; needs the .mat files)
	$(BIN)/python -m quality

fuzz: $(VENV)/.test  ## fuzz the reader under sanitizers, RUNS=10000000 inputs (needs clang)
	PATH="$(CURDIR)/$(BIN):$$PATH" sh fuzz/run.sh $(RUNS)

lint: $(VENV)/.test  ## ruff and mypy
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

clean:  ## remove what the targets made
	rm -rf $(VENV) $(VENVS) build dist demo src/*.egg-info src/rollcore/*.so src/rollcore/*.c
