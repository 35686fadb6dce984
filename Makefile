# `make` alone lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
STATIC := platform/ratchet/static/index.html
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup dashboard demo up down status test test-fast lint format bench lock migration clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(STAMP) dashboard ## everything this checkout needs, into .venv

$(STAMP): requirements.lock pyproject.toml
	@echo "Installing Ratchet and what it needs into $(VENV) (once, a few minutes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || (echo "Ratchet needs Python 3.11 or newer: make setup PYTHON=python3.11" >&2; exit 1)
	$(BIN)/pip install --quiet --requirement requirements.lock
	RATCHET_SKIP_UI=1 $(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

dashboard: $(STAMP) ## build the dashboard where its sources are newer
	@$(BIN)/python hatch_build.py

demo: setup ## the whole loop on real data, with a stack that stays up
	$(BIN)/python -m demo

up: setup ## start the local stack
	$(BIN)/ratchet up

down: ## stop the local stack
	$(BIN)/ratchet down

status: ## what of the local stack runs
	$(BIN)/ratchet status

test: setup lint ## every check that CI makes
	scripts/test

test-fast: setup ## most tests, on SQLite, without Ray, MLflow or a browser (two minutes)
	$(BIN)/pytest -m "not real and not slow" -n 2 --dist loadfile -q

lint: setup ## style, types and import rules of Python, types of the dashboard
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@if command -v npm >/dev/null; then cd platform/dashboard && npm run --silent check && npm test --silent && npm run --silent budget; \
	else echo "No npm here: the dashboard sources are not checked." >&2; fi

format: setup ## put the sources into shape
	$(BIN)/ruff check --fix --quiet .
	$(BIN)/ruff format --quiet .

bench: setup ## the figures of docs/benchmarks.md, each with its baseline (most of an hour)
	@missed=0; for name in $$(grep -l __main__ benchmarks/*.py | xargs -n1 basename -s .py); do \
	  echo "== $$name"; $(BIN)/python -m benchmarks.$$name || missed=1; done; exit $$missed

lock: ## resolve the dependencies anew into requirements.lock
	rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet --editable ".[all,dev]" hatchling editables
	$(VENV)-lock/bin/pip freeze --exclude-editable | sed 's/+cpu$$//' > requirements.lock
	rm -rf $(VENV)-lock

migration: setup ## a new revision from the tables: make migration NAME="what changes"
	$(BIN)/python scripts/new_migration.py "$(NAME)"

clean: ## remove what was built
	rm -rf $(VENV) platform/ratchet/static platform/dashboard/node_modules dist build
