# Every command a person needs. `make test` and `make demo` install what they need by themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Meltano pins its own dependencies, so it lives in a venv of its own.
MELTANO := .venv-meltano

.DEFAULT_GOAL := help
.PHONY: help install format check test demo clean lock

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "make %-12s %s\n", $$1, $$2}'

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.installed: pyproject.toml requirements-dev.txt $(BIN)/uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --requirement requirements-dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

$(MELTANO)/.installed: requirements-meltano.txt $(BIN)/uv
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(MELTANO)
	$(BIN)/uv pip install --quiet --python $(MELTANO)/bin/python --requirement requirements-meltano.txt
	@touch $@

install: $(VENV)/.installed ## the connectors, the sandbox and the development tools, into .venv

lock: $(BIN)/uv ## resolve the versions of development and of Meltano anew
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-emit-index-url --no-emit-find-links \
		--no-header --extra sandbox --group dev --output-file requirements-dev.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-emit-index-url --no-emit-find-links \
		--no-header --output-file requirements-meltano.txt requirements-meltano.in

format: install ## rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: install ## format, lint, types and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

demo: install $(MELTANO)/.installed ## warehouse -> CRM -> warehouse with real parts: PostgreSQL, Meltano, the sandbox
	$(BIN)/python examples/demo/run.py

test: check $(MELTANO)/.installed ## everything that CI runs
	$(BIN)/pytest -n 2

clean: ## remove everything that these commands made
	rm -rf $(VENV) $(MELTANO) .demo .cache dist build
