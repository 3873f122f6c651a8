# Python and make are all that these need: each target makes its own environment first.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: help demo test test-long check docs bench experiments clean

help:  ## this list
	@grep -E "^[a-z-]+:.*##" $(MAKEFILE_LIST) | sed -E "s/:[^#]*## /\t/" | expand -t 14

demo: .venv/ready  ## a report on the small families: figures/demo/report.html
	$(BIN)/interp run experiments/demo.yaml --store figures/demo/store
	$(BIN)/interp report experiments/demo.yaml --store figures/demo/store --out figures/demo/report.html

test: check  ## linting, types and tests
	@echo "== tests"
	$(BIN)/pytest -n 2 --cov=interp --cov-report=
	@echo "== share of the lines that the tests run"
	@$(BIN)/coverage report --format=total

test-long: .venv/ready  ## tests that take minutes: killed, shared and distributed studies
	$(BIN)/pytest -m long

check: .venv/ready  ## linting, types, imports between rooms, documentation
	@echo "== ruff"
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@echo "== mypy"
	$(BIN)/mypy
	@echo "== rooms"
	$(BIN)/lint-imports --no-logo
	@echo "== documentation"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs --quiet build --config-file docs/mkdocs.yml

docs: .venv/ready  ## the documentation as pages: build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs --quiet build --config-file docs/mkdocs.yml
	@echo build/site/index.html

CLAIMS := scaling domains frequency prediction compression_ratio depth numerics layer_decoding noise_recovery \
	head_ablation head_comparison cumulative_ablation

# One store holds the units of all claims: what two of them ask for is measured once.
experiments: .venv/ready  ## the study of every claim on the small families, with a page each in figures/
	test -e build/shipped-index || $(BIN)/interp index shipped --out build/shipped-index
	for claim in $(CLAIMS); do \
		echo "== $$claim"; \
		$(BIN)/interp run experiments/$$claim.yaml --workers 2 || exit 1; \
		$(BIN)/interp report experiments/$$claim.yaml --out figures/$$claim.html || exit 1; \
	done

BENCHMARKS := head_sweep extraction counts frequency_memory study

bench: .venv/ready  ## every benchmark, as ratios measured in one run
	for bench in $(BENCHMARKS); do echo "== $$bench"; $(BIN)/python experiments/benchmarks/$$bench.py || exit 1; done

# torch first and alone: its version decides whether gigabytes of CUDA come along.
.venv/ready: pyproject.toml .ci/constraints.txt
	@echo "== setting up .venv (a few minutes the first time)"
	$(PYTHON) -m venv .venv
	$(PIP) install --constraint .ci/constraints.txt torch
	$(PIP) install --constraint .ci/constraints.txt --editable ".[dev]"
	@touch $@

clean:
	rm -rf .venv build .coverage *.egg-info .pytest_cache .ruff_cache .mypy_cache
