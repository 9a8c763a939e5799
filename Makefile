# Everything a newcomer needs: `make demo` and `make test` do all their own set-up.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A third of what the tests do is waiting, so two cores are kept busy by four workers. With six it takes 7 min 30 s on an
# idle machine, but on a slow one operators and API servers then wait for each other longer than tests wait for them.
WORKERS ?= 4
# What was compiled is kept, whatever the environment says: else each worker compiles all tests anew.
unexport PYTHONDONTWRITEBYTECODE
STAMP := $(VENV)/.synced

# uv trusts the authorities that it brings along, pip those of the system, which is where that of a proxy is that opens TLS
# connections.
export UV_SYSTEM_CERTS ?= 1

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

include workbench/control-plane.mk
include workbench/node.mk

.PHONY: lint
lint: $(STAMP) ## Style, types, architecture, Dockerfile
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "not formatted: run make format"; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/hadolint Dockerfile simulator/Dockerfile

.PHONY: format
format: $(STAMP) ## Format the code
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format --quiet .

.PHONY: test
test: lint ## Lint, check types, run all tests (builds the control plane first where Go is there)
	@tools/install-system-packages || test -z "$${CI:-}"
	@$(BIN)/python -m workbench.kube.build_control_plane || test -z "$${CI:-}"
	@$(BIN)/python -m workbench.prometheus.alertmanager || test -z "$${CI:-}"
	@$(BIN)/python -m workbench.azure.azure_cli || test -z "$${CI:-}"
	@$(BIN)/pytest -n $(WORKERS) -m "not node"

.PHONY: audit
audit: $(STAMP) ## Look locked packages up in a database of vulnerabilities (fails where it cannot be reached)
	@$(BIN)/python -m tools.checks.audit

.PHONY: sbom
sbom: $(STAMP) ## List what the operator consists of, as CycloneDX, in dist/
	@$(BIN)/python -m tools.checks.sbom dist/vault-autoupdate.cdx.json

.PHONY: chaos
chaos: $(STAMP) ## Seeded chaos on a real API server: SEEDS=50 of them, or SEED=n alone (needs the control plane)
	@$(BIN)/python -m tests.chaos --seeds $(or $(SEEDS),50) $(if $(SEED),--seed $(SEED),--out docs/chaos.json)

.PHONY: faults
faults: $(STAMP) ## Every call to Azure meets every fault (about two minutes)
	@$(BIN)/pytest tests/faults

.PHONY: bench
bench: $(STAMP) ## Measure against the limits, the runbook and the SDK, and fleets of up to 5,000 (a quarter of an hour)
	@$(BIN)/python -m benchmarks

.PHONY: bench-large
bench-large: $(STAMP) ## 20,000 resources, two shards of 10,000, a policy over 5,000 vaults, and more (half an hour)
	@$(BIN)/python -m benchmarks large

.PHONY: bench-smoke
bench-smoke: $(STAMP) ## Short scenarios; fails when one is out of its bounds
	@$(BIN)/python -m benchmarks --smoke

.PHONY: profile
profile: $(STAMP) ## Where the processor time of N=300 resources goes, on a real API server (needs the control plane)
	@$(BIN)/uv sync --quiet --locked --inexact --group profile --python $(BIN)/python
	@$(BIN)/python -m benchmarks.profile --resources $(or $(N),300)

.PHONY: mutants
mutants: $(STAMP) ## Mutation testing of what decides (hours, goes on where it was stopped)
	@nice -n 19 $(BIN)/python -m tools.checks.mutants

.PHONY: docs
docs: $(STAMP) ## Write the pages that are made from the code
	@$(BIN)/python -m tools.docs_build

.PHONY: site
site: $(STAMP) ## The pages as a site in dist/site, with search; a link that leads nowhere is an error
	@$(BIN)/uv sync --quiet --locked --inexact --group site --python $(BIN)/python
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

.PHONY: release
release: $(STAMP) ## All of a release VERSION= in dist/release; publishes nothing (IMAGE=0: no image, DRY=0: set the version here)
	@$(BIN)/python -m tools.release "$(VERSION)" $(if $(filter 0,$(DRY)),--set-version) $(if $(filter 0,$(IMAGE)),--no-image)

.PHONY: clean
clean: ## Remove what the targets above made in this folder
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .mutants dist
