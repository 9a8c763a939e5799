# Everything a newcomer needs: `make demo` and `make test` do all their own set-up.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.synced

.PHONY: help
help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml simulator/pyproject.toml uv.lock tools/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; set PYTHON=/path/to/python3.11")'
	@echo "setting up $(VENV) from uv.lock"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tools/uv.txt
	@$(BIN)/uv sync --quiet --locked --inexact --python $(BIN)/python
	@touch $@

.PHONY: setup
setup: $(STAMP) ## Create .venv from the lock file

.PHONY: demo
demo: $(STAMP) ## The main job, end to end, on this machine alone (KEEP=1 leaves it running)
	@KEEP=$(KEEP) $(BIN)/python -m demo
