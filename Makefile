# Short verbs; each sets up what it needs. Nothing here needs root, a compiler, a sound card or an API key.
VENV := .venv
BIN := $(VENV)/bin
# The newest Python there is that will do.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --only-binary=:all:

.PHONY: demo test lint types house check bench clean

demo: $(VENV)/.runtime  ## start the real server, let a real MCP client call `speak`
	$(BIN)/voice-mcp demo

test: $(VENV)/.dev  ## the whole test suite; what a sound card gets is judged apart, two tests at a time
	$(BIN)/python -m pytest -m "not pulse" -n auto
	$(BIN)/python -m pytest -m pulse -n 2

lint: $(VENV)/.dev  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.dev  ## mypy, strict
	$(BIN)/mypy

house: $(VENV)/.dev  ## who may import whom
	$(BIN)/lint-imports

check: lint types house test  ## everything that must be green

bench: $(VENV)/.dev  ## print the figures of benchmarks/README.md
	$(BIN)/python -m benchmarks

clean:  ## remove what was made here
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "voice-mcp needs Python 3.11 or newer with venv (Debian, Ubuntu: apt install python3-venv)."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.runtime
