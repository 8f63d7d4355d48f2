# Two commands matter: `make demo` and `make test`. Each sets up what it needs in .venv.
PYTHON ?= python3
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
# uv where it is on the path, else pip; both with constraints.txt.
INSTALL := $(PYTHON) .ci/install.py $(VENV)

# What `make test-fast` looks at: collecting the other folders would take longer than what is quick in them.
FAST := $(addprefix crm_pipeline_tests/, kernel model wire store ratelimit connectors test_settings.py test_floors.py test_words.py)

# Two workers and the programs that tests start would compile the same modules again and again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo dev test test-fast lint bench campaign wheels clean

help:  ## Show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.run: pyproject.toml sandbox/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; found $$($(PYTHON) --version). Try: make PYTHON=python3.12 demo"; exit 1; }
	@$(INSTALL) -e sandbox -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@$(INSTALL) -e sandbox -e '.[dev,dg]'
	@touch $@

$(VENV)/.bench: $(VENV)/.dev
	@$(INSTALL) -e sandbox -e '.[dev,dg,bench]'
	@touch $@

demo: $(VENV)/.run  ## Set up, start the sandbox, backfill it through Dagster, show the result
	@$(BIN)/crm-pipeline demo

dev: $(VENV)/.run  ## Start PostgreSQL, the sandbox, the Dagster UI and daemon; Ctrl-C stops all (PORT=3001: another port)
	@$(BIN)/crm-pipeline up $(if $(PORT),--port $(PORT))

test: $(VENV)/.dev  ## Set up and run all tests, two side by side; say what they took and which were slow
	@$(BIN)/python .ci/measured.py $(if $(ARGS),--only-some) \
	  $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --durations=10 $(ARGS)

test-fast: $(VENV)/.dev  ## The daily loop, under a minute: no server, no process, no run of Dagster
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow" $(FAST) $(ARGS)

lint: $(VENV)/.dev  ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(VENV)/.bench  ## Measure speed as ratios against peers on the same bytes
	@$(BIN)/python -m benchmarks $(ARGS)

campaign: $(VENV)/.bench  ## The long figures of docs/benchmarks.md
	@$(BIN)/python -m benchmarks --campaign $(ARGS)

wheels: $(VENV)/.run  ## Build the wheels of product and sandbox into dist/, for `pip install --find-links dist`
	@rm -rf build sandbox/build dist
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist ./sandbox .
	@ls dist

clean:  ## Remove the virtual environment and caches, keep data/
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache *.egg-info
