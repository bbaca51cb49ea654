# Everything a developer types. `make` alone lists the targets.

VENV    := .venv
PY      := $(VENV)/bin/python
PIP     := $(PY) -m pip --disable-pip-version-check
UV      := $(VENV)/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
           --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock"
RUNTIME := $(VENV)/.runtime
DEV     := $(VENV)/.dev
ARGS    ?=
# The build backend is locked too, so that installing this checkout needs no unhashed download.
BUILD   := hatchling editables

# The first interpreter that pyproject.toml accepts; `make PYTHON=/path/to/python …` chooses another.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))
PYTHON    ?= $(shell for name in python3.11 python3.12 python3 python; do \
               "$$name" -c '$(SUPPORTED)' >/dev/null 2>&1 && { echo "$$name"; break; }; done)

.DEFAULT_GOAL := help
.PHONY: help run test check lint types test-unit test-integration test-cluster bench faults lock build clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(RUNTIME) ## Start the service with the demo: make run ARGS="--port 9000"
	@exec $(VENV)/bin/taske up --demo $(ARGS)

test: check ## Lint, types and all tests
	$(PY) -m pytest -m "not faults"

check: lint types ## What needs no test: lint and types

lint: $(DEV) ## ruff: rules and formatting
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: $(DEV) ## mypy, strict
	$(PY) -m mypy

test-unit: $(DEV) ## The tests without database, Ray and sockets: seconds
	$(PY) -m pytest -m "not integration and not cluster and not e2e and not faults"

test-integration: $(DEV) ## The tests on a real PostgreSQL
	$(PY) -m pytest -m integration

test-cluster: $(DEV) ## The tests on a real Ray and on a whole service
	$(PY) -m pytest -m "(cluster or e2e) and not faults"

faults: $(DEV) ## Processes frozen, restarted and woken, then the campaign: three quarters of an hour; ARGS="--seed 1"
	$(PY) -m pytest -m faults
	$(PY) -m tests.faults.campaign --seconds 600 $(ARGS)

bench: $(DEV) ## Measure the pipeline and print the table
	$(PY) -m tests.bench $(ARGS)

build: $(DEV) ## The wheel with all three packages, in dist/
	$(PY) -m build --no-isolation --wheel

lock: $(DEV) ## Lock the dependencies of pyproject.toml; newer versions with ARGS=--upgrade
	printf '%s\n' $(BUILD) | $(UV) $(ARGS) --output-file requirements.lock pyproject.toml -
	printf '%s\n' $(BUILD) | $(UV) $(ARGS) --output-file requirements-dev.lock --extra dev --constraint requirements.lock pyproject.toml -

clean: ## Remove the environment and everything built
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@test -n "$(PYTHON)" || { echo "Taske needs Python 3.11 or 3.12, and found neither on PATH (make PYTHON=/path/to/python3.11 …)." >&2; exit 1; }
	@echo "Creating $(VENV) with $(PYTHON)"
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); echo "Python's venv module is needed (Debian: apt install python3-venv)." >&2; exit 1; }

# Wheels only: nothing of a dependency is built or run while it is installed. The editable install comes last, so that
# a stamp means a complete environment. Already installed versions are left alone, without network.
$(RUNTIME): requirements.lock pyproject.toml | $(PY)
	@if test $(DEV) -nt requirements.lock && test $(DEV) -nt pyproject.toml; then :; else \
	  echo "Installing the locked dependencies (half a minute the first time)"; \
	  $(PIP) install -qq --only-binary :all: --no-deps --require-hashes -r requirements.lock && \
	  $(PIP) install -qq --no-deps --no-index --no-build-isolation --editable .; fi
	@touch $@

$(DEV): requirements-dev.lock requirements.lock pyproject.toml | $(PY)
	@echo "Installing the locked dependencies and tools (a minute the first time)"
	@$(PIP) install -qq --only-binary :all: --no-deps --require-hashes -r requirements-dev.lock
	@$(PIP) install -qq --no-deps --no-index --no-build-isolation --editable .
	@touch $@
