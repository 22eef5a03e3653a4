# What one does here, each by one word. `make` or `make help` lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
EXTRAS := cpu,test
WORKERS ?= 2

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-14s %s\n", $$1, $$2}'

setup:  ## an environment in .venv with the tested versions
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -c constraints.txt -e ".[$(EXTRAS),dev]"

test:  ## the fast tests: no notebook, no browser
	$(BIN)/pytest -n $(WORKERS)

notebooks:  ## every notebook is executed, and its checks tell an exercise from its solution
	$(BIN)/pytest -m notebook --durations=15

browser:  ## explorers and pages in Chromium; what fails is tried once more, alone: front ends time out on a busy machine
	$(BIN)/pytest -m browser --durations=15 || $(BIN)/pytest -m browser --last-failed --last-failed-no-failures none

golden:  ## the numbers recorded from the original programs
	$(BIN)/pytest $$(grep -l golden tests/test_*.py)

test-all: test notebooks browser  ## all of these

lint:  ## style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

course:  ## the notebooks as pages, in site/
	$(BIN)/kit course --out site

constraints:  ## constraints.txt from the newest releases that pyproject.toml allows; run the tests before you commit it
	$(PYTHON) -m venv build/newest
	build/newest/bin/pip install -q -e ".[$(EXTRAS),dev]"
	build/newest/bin/pip freeze --exclude-editable | sed 's/+cpu$$//' | grep -v ' @ ' > constraints.txt

test-newest:  ## the fast tests with the newest releases that pyproject.toml allows
	$(PYTHON) -m venv --clear build/newest
	build/newest/bin/pip install -q -e ".[$(EXTRAS)]"
	build/newest/bin/pytest -n $(WORKERS)

test-lowest:  ## the fast tests with the oldest releases that pyproject.toml allows (needs uv)
	uv venv -q --clear --python 3.11 build/lowest
	uv pip install -q --python build/lowest/bin/python --resolution lowest-direct -e ".[$(EXTRAS)]"
	build/lowest/bin/pytest -n $(WORKERS)

.PHONY: help setup test notebooks browser golden test-all lint course constraints test-newest test-lowest
