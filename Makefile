# Every target sets up what it needs: a virtual environment with the pinned packages, ffmpeg among
# them. A second run sets up nothing again.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

DATASET ?= demo
MEDIA ?=
ANNOTATIONS ?=
OUT ?= out/$(DATASET)
RUNNER ?= FnApiRunner
WEIGHTS ?=
ARGS ?=
# The first demo: a small, easy world, and what HAN reads, at one frame a second (docs/demo.md).
# Options in ARGS win.
FIRST_DEMO := --clips 140 --classes 6 --difficulty easy --recipe quick --extractors vggish,resnet152,r2plus1d
BUDGET_S ?= 1500
SEED ?= 0
FAMILY ?=
CASE ?=
MUTANTS ?= 40
ROOM ?=
JOBS ?= 2
export PYTHONDONTWRITEBYTECODE := # without bytecode every start takes seconds more
# uv trusts whom the machine trusts, as pip does
export UV_SYSTEM_CERTS := 1
# side by side, checked against the lock's hashes, compiled once; a mirror of pip's is uv's too
INSTALL := $(if $(PIP_INDEX_URL),UV_DEFAULT_INDEX="$(PIP_INDEX_URL)") $(BIN)/uv pip install --quiet \
	--python $(BIN)/python --no-deps --require-hashes --compile-bytecode
# what a lock holds: names, versions and hashes, no host
LOCKED := --quiet --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url

.DEFAULT_GOAL := help
.PHONY: help install index features train test test-flink test-spark test-images test-browser test-faults test-kills test-mutants check docs recording bench lock clean

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "features takes DATASET= MEDIA= ANNOTATIONS= OUT= RUNNER= WEIGHTS= ARGS="

$(VENV)/runtime.done: requirements-setup.lock requirements.lock pyproject.toml
	@echo "setting up $(VENV) (once, a few minutes)"
	@$(PYTHON) -c 'import sys; assert sys.version_info[:2] == (3, 11), sys.version' || \
		(echo "earsight needs Python 3.11; name it with: make PYTHON=/path/to/python3.11 ..." && false)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --no-deps --require-hashes -r requirements-setup.lock
	@$(INSTALL) -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --no-deps --no-build-isolation -e . \
		--config-settings editable_mode=compat
	@touch $@

$(VENV)/dev.done: $(VENV)/runtime.done requirements-dev.lock
	@$(INSTALL) -r requirements-dev.lock
	@touch $@

install: $(VENV)/runtime.done ## set up the environment only

features: $(VENV)/runtime.done ## clips to feature tables
	@$(BIN)/beam run features --dataset "$(DATASET)" --out "$(OUT)" --runner "$(RUNNER)" \
		$(if $(MEDIA),--media "$(MEDIA)") $(if $(ANNOTATIONS),--annotations "$(ANNOTATIONS)") \
		$(if $(WEIGHTS),--weights "$(WEIGHTS)") $(if $(filter demo,$(DATASET)),$(FIRST_DEMO)) $(ARGS)

train: $(VENV)/runtime.done ## train HAN on the tables of OUT
	@$(BIN)/python models/train.py han --features "$(OUT)" $(ARGS)

index: $(VENV)/dev.done ## options and experiments of every net, for lists and help
	@$(BIN)/python -m models.net_index

test: $(VENV)/dev.done ## the whole default test suite, in JOBS= processes (5 GB each)
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

test-flink: $(VENV)/dev.done ## the job on a real Flink; needs Java and Maven
	@$(BIN)/python -m pytest tests/engines -m flink

test-spark: $(VENV)/dev.done ## the job on a real Spark; needs Java and Maven
	@$(BIN)/python -m pytest tests/engines -m spark

test-faults: $(VENV)/dev.done ## many hostile inputs; BUDGET_S= SEED= FAMILY= CASE=
	@BUDGET_S="$(BUDGET_S)" SEED="$(SEED)" FAMILY="$(FAMILY)" CASE="$(CASE)" \
		$(BIN)/python -m pytest tests/faults -m faults -s

test-kills: $(VENV)/dev.done ## a kill at every change of the disk, where make test tries some
	@KILLS_REPORT=docs/benchmarks/kills.json $(BIN)/python -m pytest \
		tests/pipelines tests/models/training -m kills

test-mutants: $(VENV)/dev.done ## small changes of the code that tests must notice; MUTANTS= SEED= ROOM=
	@nice -n 15 env MUTANTS="$(MUTANTS)" SEED="$(SEED)" ROOM="$(ROOM)" \
		$(BIN)/python -m pytest tests/mutants -m mutants

test-browser: $(VENV)/dev.done ## the pages in a real browser; needs chromium and chromium-driver
	@$(BIN)/python -m pytest tests/browser -m browser

test-images: $(VENV)/dev.done ## the images' packages in a clean root; needs debootstrap and root
	@$(BIN)/python -m pytest tests/docker -m images

check: $(VENV)/dev.done ## style, types and layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

docs: $(VENV)/dev.done ## the site, in out/site; strict: no link may be broken
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "open out/site/index.html"

recording: $(VENV)/dev.done ## type commands into a terminal, write docs/terminal.md; needs tmux
	@$(BIN)/python -m pytest tests/terminal -m recording

bench: $(VENV)/dev.done ## measure speed, write docs/benchmarks
	@$(BIN)/python -m pytest tests -m bench

lock: $(VENV)/dev.done ## pin every package anew
	@$(BIN)/uv pip compile $(LOCKED) --group setup -o requirements-setup.lock
	@$(BIN)/uv pip compile $(LOCKED) -o requirements.lock pyproject.toml
	@$(BIN)/uv pip compile $(LOCKED) --extra dev -o requirements-dev.lock pyproject.toml

clean: ## remove the environment and what was built
	rm -rf $(VENV) *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
