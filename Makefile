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

SITE := NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs

.DEFAULT_GOAL := help
.PHONY: help demo dev test test-fast coverage lint docs docs-serve sbom lock bench campaign wheels clean

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

coverage: $(VENV)/.dev  ## Run all tests with their coverage: twice the CPU seconds on Python 3.11
	@rm -rf build/coverage && mkdir -p build/coverage
	@$(BIN)/python .ci/measured.py --only-some \
	  $(BIN)/python -m coverage run -m pytest -n $(WORKERS) --dist worksteal $(ARGS)
	@$(BIN)/python -m coverage combine --quiet && $(BIN)/python -m coverage report --sort=-cover | tail -n 25

lint: $(VENV)/.dev  ## Check style, types and the documentation's links
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(SITE) build

docs: $(VENV)/.dev  ## Write the pages made from the code, build the site into build/site
	@$(BIN)/python .ci/reference
	@$(SITE) build

docs-serve: $(VENV)/.dev  ## Show the site on this machine, and build it again while one writes
	@$(SITE) serve

sbom: $(VENV)/.dev  ## What this project stands on: build/sbom.cdx.json (CycloneDX), build/licences.md
	@$(BIN)/python .ci/sbom.py

lock: $(VENV)/.run  ## Write requirements.lock: the versions of constraints.txt with their hashes; some minutes
	@test -x $(VENV)/lock/bin/pip-compile || { $(PYTHON) -m venv $(VENV)/lock && $(VENV)/lock/bin/pip install -q pip-tools; }
	@$(VENV)/lock/bin/pip-compile -q --generate-hashes --no-header --no-annotate --no-strip-extras --allow-unsafe \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  -c constraints.txt -o requirements.lock pyproject.toml sandbox/pyproject.toml

bench: $(VENV)/.bench  ## Measure speed as ratios against peers on the same bytes
	@$(BIN)/python -m benchmarks $(ARGS)

campaign: $(VENV)/.bench  ## The long figures of docs/benchmarks.md
	@$(BIN)/python -m benchmarks --campaign $(ARGS)

wheels: $(VENV)/.run  ## Build the wheels of product and sandbox into dist/, for `pip install --find-links dist`
	@echo "Building two wheels: about half a minute"
	@rm -rf build sandbox/build dist
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist ./sandbox .
	@ls dist

clean:  ## Remove the virtual environment and caches, keep data/
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache *.egg-info
