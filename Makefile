# What one does here, each by one word. `make` or `make help` lists them.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
EXTRAS := cpu,test
WORKERS ?= 2
COLAB := ipywidgets==7.7.1 anywidget==0.9.21 plotly==5.24.1

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

slow:  ## notebooks and browser side by side, ten minutes on two cores; CHOSEN="not 00_start" leaves some out
	$(BIN)/pytest -m "notebook or browser" -k "$(CHOSEN)" -n $(WORKERS) --dist loadfile --durations=15 || \
	$(BIN)/pytest -m "notebook or browser" -k "$(CHOSEN)" --last-failed --last-failed-no-failures none

golden:  ## the numbers recorded from the original programs
	$(BIN)/pytest $$(grep -l golden tests/test_*.py)

test-all: test slow  ## all of these

lint:  ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

picture:  ## the README's picture
	$(BIN)/python data/make/picture.py

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

test-colab:  ## every explorer with Google Colab's versions of what draws
	$(PYTHON) -m venv --clear build/colab
	build/colab/bin/pip install -q -e ".[$(EXTRAS)]" $(COLAB)
	KIT_VERSIONS="$(COLAB)" build/colab/bin/pytest tests/test_every_explorer.py

.PHONY: help setup test notebooks browser slow golden test-all lint picture course constraints test-newest test-lowest test-colab
