# `make demo` and `make test` do all the set-up themselves: a virtual environment in .venv with the versions of
# constraints.txt. The first call takes some minutes, the next ones none.
#
#   make demo                                        the main job on a scan that comes with the packages
#   make demo SCAN=scan.nii.gz POINT=-12.5,30,44     the same on your scan; POINT is R,A,S in mm
#   make test [TESTS=Testing/engine]                 the tests
#   make lint                                        ruff and mypy
#   make clean                                       removes .venv, caches and demo-output
#
# PYTHON names the interpreter (else the first of python3, python3.12, python3.11, python3.10 that is 3.10 to 3.12).
# PIP_FLAGS goes to pip: on a Linux machine without an NVIDIA GPU, an --extra-index-url with PyTorch's CPU builds
# saves gigabytes.

SHELL := /bin/sh
VENV ?= .venv
OUTPUT ?= demo-output
TESTS ?=
SCAN ?=
POINT ?=
PIP_FLAGS ?=

SUPPORTED := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.10; do \
	if $$p -c '$(SUPPORTED)' >/dev/null 2>&1; then echo $$p; break; fi; done)

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint clean

help:
	@sed -n 's/^#  \( *make .*\)/ \1/p' Makefile

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ] || ! $(PYTHON) -c '$(SUPPORTED)'; then \
		echo "Python 3.10, 3.11 or 3.12 is needed. Install one, or name it: make PYTHON=path/to/python3.12" >&2; exit 1; fi
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "This Python has no venv module. On Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV) (once; some minutes) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt pip hatchling editables
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -c constraints.txt \
		--no-build-isolation -e '.[scene,demo,dicom,train,dev]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/memorizing-sam3d demo --force --output "$(OUTPUT)" $(if $(SCAN),--scan "$(SCAN)") $(if $(POINT),--point "$(POINT)")

# One process a core, a file's tests in one of them; more threads than cores would only wait for each other.
test: $(STAMP)
	@OMP_NUM_THREADS=1 PYTHONUTF8=1 $(BIN)/python -m pytest $(or $(TESTS),-n auto --dist loadfile)

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

clean:
	rm -rf $(VENV) $(OUTPUT) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
