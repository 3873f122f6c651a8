# Python and make are all that these need: each target makes its own environment first.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: demo test check bench experiments clean

demo: .venv/ready  ## weights to report: figures/demo/report.html
	$(BIN)/interp demo

test: check  ## linting, types and tests
	@echo "== tests"
	$(BIN)/pytest -n 2

check: .venv/ready  ## linting and types
	@echo "== ruff"
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@echo "== mypy"
	$(BIN)/mypy

# These read one table of scores, which the first measures; the comparison of heads reads the tables of their ablation.
SCORED := scaling frequency domains prediction
SCORES := figures/scaling/scores.parquet
CLAIMS := compression_ratio depth numerics layer_decoding noise_recovery head_ablation cumulative_ablation

experiments: .venv/ready  ## every claim on the small families, with figures and a page each in figures/
	rm -f $(SCORES)
	for claim in $(SCORED); do echo "== $$claim"; $(BIN)/python experiments/$$claim.py --scores $(SCORES) --out figures/$$claim || exit 1; done
	for claim in $(CLAIMS); do echo "== $$claim"; $(BIN)/python experiments/$$claim.py --out figures/$$claim || exit 1; done
	$(BIN)/python experiments/head_comparison.py --tables figures/head_ablation --out figures/head_comparison
	$(BIN)/python experiments/pages.py

bench: .venv/ready  ## every benchmark, as ratios measured in one run
	for bench in experiments/bench_*.py; do echo "== $$bench"; $(BIN)/python $$bench || exit 1; done

# torch first and alone: its version decides whether gigabytes of CUDA come along.
.venv/ready: pyproject.toml .ci/constraints.txt
	@echo "== setting up .venv (a few minutes the first time)"
	$(PYTHON) -m venv .venv
	$(PIP) install --constraint .ci/constraints.txt torch
	$(PIP) install --constraint .ci/constraints.txt --editable ".[dev]"
	@touch $@

clean:
	rm -rf .venv build *.egg-info .pytest_cache .ruff_cache .mypy_cache
