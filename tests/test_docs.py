"""What the documentation names is there: modules and names, files, commands and their options."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest
from test_cli import commands

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# Columns of docs/originals.md whose backticks name what is here (the first column names the original's).
HERE = slice(2, None)


def options(name):
    return {option for parameter in commands()[name].params for option in parameter.opts}


def spans(page):
    """What stands between backticks, of a table of the originals the columns that are about the kit."""
    for line in page.read_text(encoding="utf-8").splitlines():
        told = line
        if page.name == "originals.md" and line.startswith("|"):
            told = "|".join(line.split("|")[HERE])
        yield from re.findall(r"`([^`]+)`", told)
    for block in re.findall(r"```\w*\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        yield from (line.strip().removeprefix(".venv/bin/") for line in block.splitlines())


def names(page):
    return sorted({name for span in spans(page) for name in re.findall(r"\bkit(?:\.\w+)+", span)})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_and_names_exist(page):
    for name in names(page):
        parts = name.split(".")
        for length in range(len(parts), 0, -1):
            try:
                found = import_module(".".join(parts[:length]))
            except ModuleNotFoundError:
                continue
            for part in parts[length:]:
                assert hasattr(found, part), f"{page.name}: {name}"
                found = getattr(found, part)
            break


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_exist(page):
    text = " ".join(spans(page))
    for path in re.findall(r"\b(?:kit|tests|docs|data|notebooks)/[\w./-]*\w", text):
        assert (ROOT / path).exists() or path.startswith(("data/full", "docs/site")), f"{page.name}: {path}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page):
    every = {option for name in commands() for option in options(name)}
    for span in spans(page):
        if span.startswith("kit "):
            words = span.split()
            name = " ".join(words[1:3]) if " ".join(words[1:3]) in commands() else words[1]
            groups = {one.split()[0] for one in commands()}
            assert name in commands() or name in groups or name == "COMMAND", f"{page.name}: {span}"
            mine = (options(name) if name in commands() else every) | {"--help"}
        else:
            mine = every
        if span.startswith(("kit ", "--")):
            given = set(re.findall(r"(?<!\S)--[a-z][a-z0-9-]*", span))
            assert given <= mine, f"{page.name}: {span}: {given - mine}"


def test_the_pages_name_something():
    assert all(list(spans(page)) for page in PAGES)
    assert "kit.train.Optimisation" in names(ROOT / "docs" / "originals.md")
