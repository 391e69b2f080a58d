# `make` alone lists what there is. Every target that needs the environment makes it first.

SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV  := .venv
BIN   := $(VENV)/bin
READY := $(VENV)/.ready-to-run
STAMP := $(VENV)/.ready-to-develop

# PYTHON=… chooses the interpreter of a new environment; ARGS=… goes to the program that is run.
PYTHON  ?=
ARGS    ?=
BROKERS ?= 1
WORKERS ?= 2
PORT    ?= 9092

UV      = $(shell command -v uv)
INSTALL = $(if $(UV),uv pip install --quiet --python $(BIN)/python,$(BIN)/python -m pip install --quiet --disable-pip-version-check)
NEW_ENOUGH = import sys; assert sys.version_info >= (3, 11)

.PHONY: help setup environment run test check bench kafka fmt lock clean

help: ## this list
	@echo "Regie. The first command in a fresh clone:  make run"
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  PYTHON=python3.12 chooses the interpreter, ARGS='…' passes arguments on."

setup: $(STAMP) ## the environment in .venv, from the lock file, with hashes
	@echo "ready: $(BIN)/regie --help"

run: $(READY) ## everything on the embedded default, with demo accounts and traffic
	@$(BIN)/regie serve --demo $(ARGS)

test: $(STAMP) ## all tests, on real PostgreSQL and, where it can run, real Kafka
	@# Before the tests, because bringing Kafka is not on their clock; they say what is missing.
	@$(BIN)/python -m deploy.kafka --bring || true
	@# Those marked `alone` end processes and wait for bounds: beside others they would fail for want
	@# of time. What must be met (REGIE_REQUIRE_…) is met in the first run. 5: none were asked for.
	@$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile $(ARGS) || test $$? -eq 5
	@REGIE_REQUIRE_KAFKA= REGIE_REQUIRE_MAILSERVERS= REGIE_REQUIRE_PROMTOOL= $(BIN)/python -m pytest --alone $(ARGS) || test $$? -eq 5

check: $(STAMP) ## lint, format, types, and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: $(STAMP) ## the figures, as ratios with their conditions
	@$(BIN)/python -m tests.benchmarks $(ARGS)

kafka: ## a real Kafka in the foreground, without Docker (BROKERS=3, PORT=9092)
	@$(firstword $(PYTHON) $(wildcard $(BIN)/python) python3) -m deploy.kafka --brokers $(BROKERS) --port $(PORT) $(ARGS)

fmt: $(STAMP) ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## write the lock files again (ARGS=--upgrade for newer versions)
	@# Only uv writes one lock for every platform; where it is not installed, the environment gets it.
	@test -n "$(UV)" -o -x $(BIN)/python || $(MAKE) --no-print-directory environment
	@test -n "$(UV)" -o -x $(BIN)/uv || $(INSTALL) uv
	@PATH="$$PATH:$(BIN)"; for lock in "requirements.lock --group build" "requirements-dev.lock --group dev --constraint requirements.lock"; do \
		uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
			$(ARGS) --output-file $$lock || exit 1; \
	done
	@! grep -n '://' requirements.lock requirements-dev.lock

clean: ## remove the environment and what tools left; data stays
	rm -rf $(VENV) build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache deploy/kafka/.libs
	find services shared tests deploy -name __pycache__ -type d -prune -exec rm -rf {} +

# Running needs half of what developing does, and should not wait for the other half.
$(READY): requirements.lock pyproject.toml
	@# An environment that uv made has no pip, and is of no use once uv has gone.
	@$(BIN)/python -c '$(NEW_ENOUGH)$(if $(UV),,; import pip)' 2>/dev/null || $(MAKE) --no-print-directory environment
	@echo "installing what requirements.lock names into $(VENV) …"
	@$(INSTALL) --require-hashes -r requirements.lock
	@# The lock holds hatchling, so the build needs nothing from outside it.
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

$(STAMP): requirements-dev.lock $(READY)
	@echo "installing what requirements-dev.lock adds …"
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

environment:
	@python=; for each in $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11); do \
		if $$each -c '$(NEW_ENOUGH)' 2>/dev/null; then python=$$each; break; fi; \
	done; \
	if [ -z "$$python" ] && { [ -n "$(PYTHON)" ] || [ -z "$(UV)" ]; }; then \
		echo "Regie needs Python 3.11 or newer, and $(or $(PYTHON),python3) is: $$($(or $(PYTHON),python3) -V 2>&1 | tail -1). Name another: make setup PYTHON=python3.12" >&2; exit 1; \
	fi; \
	rm -rf $(VENV); \
	if [ -n "$(UV)" ]; then uv venv --quiet --python "$${python:->=3.11}" $(VENV); exit; fi; \
	if ! $$python -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "This Python came without venv or ensurepip; on Debian or Ubuntu: apt-get install $$($$python -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])'), on Fedora: dnf install python3-libs python3-pip. Then run make again." >&2; exit 1; \
	fi; \
	$$python -m venv $(VENV)
