# Everything a newcomer needs: make demo, make test. Each installs by itself, once.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SIZE ?= 2000
GB ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo up test soak bench lint format lock clean

help:  ## Show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-8s %s\n", $$1, $$2}'

$(VENV)/.demo-ready: requirements.lock pyproject.toml scripts/install
	@scripts/install "$(PYTHON)" $(VENV) requirements.lock
	@touch $@

$(VENV)/.test-ready: requirements.lock requirements-test.lock pyproject.toml scripts/install
	@scripts/install "$(PYTHON)" $(VENV) requirements-test.lock
	@touch $@ $(VENV)/.demo-ready

.venv-cli/.ready: requirements-cli.lock pyproject.toml scripts/install
	@scripts/install "$(PYTHON)" .venv-cli requirements-cli.lock
	@touch $@

demo: $(VENV)/.demo-ready  ## Generate the demo platform; back it up, verify and drill it through Airflow (SIZE=2000)
	@$(BIN)/python scripts/demo.py --size $(SIZE)

up: $(VENV)/.demo-ready  ## Start Airflow with its UI on the project (after make demo: with its runs)
	@$(BIN)/python scripts/up.py

test: $(VENV)/.test-ready .venv-cli/.ready lint  ## Lint, type-check and run every test
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile $(PYTEST)

soak: $(VENV)/.test-ready .venv-cli/.ready  ## The long runs: hundreds of kills, long fuzzing (half an hour)
	@$(BIN)/python -m pytest -q -n 2 -m soak --timeout 3600 $(PYTEST)

bench: $(VENV)/.test-ready  ## Time and peak memory of every command on big sources (GB=2)
	@$(BIN)/python -m bench.memory --size $(GB)

lint: $(VENV)/.test-ready  ## ruff, mypy --strict, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.test-ready  ## Format the code
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

lock: $(VENV)/.test-ready  ## Pin every dependency again, from the ranges
	@scripts/lock $(BIN)/uv

clean:  ## Remove what make installed and generated
	rm -rf $(VENV) .venv-cli .demo .tools
