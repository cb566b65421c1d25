# The daily commands. `make` alone lists them; docs/development.md says more.
# Everything is installed into .venv and nowhere else; scripts/environment.py makes it and keeps it in step with pyproject.toml.

# The first Python on the PATH that is new enough; `make test PYTHON=python3.12` or `PYTHON=python3.12 make test` names another one.
PYTHON ?= $(shell for candidate in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$candidate" -c $(IS_NEW_ENOUGH) >/dev/null 2>&1 && { echo "$$candidate"; break; }; done)
IS_NEW_ENOUGH = 'import sys; sys.exit(sys.version_info < (3, 11))'
VENV_PYTHON = .venv/bin/python
CHECK = @$(VENV_PYTHON) scripts/check.py

# Found once per make and shared by every target. A Python that was only found may differ from the one in .venv; one that was named may not.
ENVIRONMENT = @python="$(PYTHON)"; \
	"$${python:-python3}" -c $(IS_NEW_ENOUGH) 2>/dev/null || { \
		echo "alloy-actors needs Python 3.11 or newer; $${python:-python3} is $$("$${python:-python3}" --version 2>&1)."; \
		echo "Install one, then name it: make $(or $(MAKECMDGOALS),test) PYTHON=python3.12"; exit 1; }; \
	"$$python" scripts/environment.py $(if $(filter file,$(origin PYTHON)),,--this-python)

.DEFAULT_GOAL := help
.PHONY: help demo test lint types layers unit conformance stress faults kills format docs bench corpus pykka-suite clean runtime dev docs-environment

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: runtime ## supervised agents against an embedded model server: no API key, no network
	@$(VENV_PYTHON) -m alloy_actors demo

test: dev ## lint, format, types, import layers, docs and all tests; stops at the first that fails
	$(CHECK)

lint: dev ## ruff: lint rules and formatting
	$(CHECK) lint format

types: dev ## mypy, strict
	$(CHECK) types

layers: dev ## import-linter: who may import whom
	$(CHECK) layers

unit: dev ## the tests without threads, network and processes
	$(CHECK) unit

conformance: dev ## the tests of the supervision contract: which of its cases pass, fail or have no test
	$(CHECK) conformance

SECONDS ?= 300
stress: dev ## supervised actors under threads that race, for minutes: make stress SECONDS=600
	@$(VENV_PYTHON) -X dev -m tests.stress --seconds $(SECONDS)

format: dev ## let ruff rewrite what it can
	@$(VENV_PYTHON) -m ruff check --fix-only --quiet .
	@$(VENV_PYTHON) -m ruff format .

docs: docs-environment ## build site/; every warning is an error, nothing is fetched
	$(CHECK) docs

faults: dev ## every fault at every point of a run, with real stores, servers and kills; `make test` has a part of it
	@$(VENV_PYTHON) -m pytest -m "heavy or not heavy" -o faulthandler_timeout=0 tests/faults tests/property/test_one_door.py

kills: dev ## kill -9 a busy system of 50 agents 100 times; prints what was lost and what was done twice
	@$(VENV_PYTHON) -m tests.faults.kills

bench: runtime ## what it costs, beside hand-written loops that do the same work
	@$(VENV_PYTHON) -m benchmarks

corpus: dev ## recorded provider traffic against the official SDKs' reading of it: make corpus WIRE_CORPUS=folder
	@test -n "$$WIRE_CORPUS" || { echo "make corpus WIRE_CORPUS=folder: it holds exchanges.jsonl.gz and stream-fixtures.jsonl.gz"; exit 1; }
	@$(VENV_PYTHON) -m pytest -q tests/contract -k corpus

pykka-suite: dev ## pykka's own tests, from its source distribution, against our actors
	@$(VENV_PYTHON) tests/pykka_suite.py

clean: ## remove caches and build output; `rm -rf .venv` removes the environment as well
	@rm -rf build dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

runtime:
	$(ENVIRONMENT) runtime

dev:
	$(ENVIRONMENT) dev

docs-environment:
	$(ENVIRONMENT) docs
