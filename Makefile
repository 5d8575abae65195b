# Everything a newcomer needs: make demo, make test. Each installs by itself, once.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCE ?= sqlite
SIZE ?= 2000
WHAT ?= memory
# What was compiled is kept, also where the environment says otherwise: a process of Airflow imports 2,000 modules.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo up test soak bench lint format lock clean

help:  ## Show this help
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-8s %s\n", $$1, $$2}'

$(VENV)/.demo-ready: requirements.lock pyproject.toml scripts/install
	@scripts/install "$(PYTHON)" $(VENV) requirements.lock
	@touch $@

$(VENV)/.test-ready: requirements.lock requirements-test.lock pyproject.toml scripts/install
	@scripts/install "$(PYTHON)" $(VENV) requirements-test.lock
	@touch $@ $(VENV)/.demo-ready $(VENV)/.postgres-ready

$(VENV)/.postgres-ready: $(VENV)/.demo-ready requirements-demo.lock
	@scripts/install "$(PYTHON)" $(VENV) requirements-demo.lock
	@touch $@

.venv-cli/.ready: requirements-cli.lock pyproject.toml scripts/install
	@scripts/install "$(PYTHON)" .venv-cli requirements-cli.lock
	@touch $@

SERVER := $(if $(filter postgres,$(SOURCE)),$(VENV)/.postgres-ready)
demo: $(VENV)/.demo-ready $(SERVER)  ## Generate the demo platform; back it up, verify and drill it through Airflow (SOURCE=sqlite|postgres SIZE=2000)
	@$(BIN)/python -m scripts.demo --source $(SOURCE) --size $(SIZE)

up: $(VENV)/.demo-ready $(SERVER)  ## Start Airflow with its UI on the demo (SOURCE=sqlite|postgres; after make demo: with its runs)
	@$(BIN)/python -m scripts.up --source $(SOURCE)

test: $(VENV)/.test-ready .venv-cli/.ready lint  ## Lint, type-check and run every test
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST)

soak: $(VENV)/.test-ready .venv-cli/.ready  ## The long runs: hundreds of kills, long histories and fuzzing, PostgreSQL's own regression tests (two hours)
	@$(BIN)/python -m pytest -q -n 2 -m soak --timeout 3600 $(PYTEST)

bench: $(VENV)/.test-ready  ## Time and memory of every command (WHAT=memory GB=2), or beside other tools (WHAT=postgres GB=1.4, WHAT=changes, WHAT=storage GB=1, WHAT=listing)
	@$(BIN)/python -m bench.$(WHAT) $(if $(GB),--size $(GB))

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
