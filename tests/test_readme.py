"""The README's Python runs as it stands, and its marked commands are there for .ci/run to take."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_its_python_prints_what_it_says(capsys):
    blocks = re.findall(r"^```python\n(.*?)^```\n```text\n(.*?)^```$", README, re.M | re.S)
    assert blocks and len(blocks) == README.count("```python")
    for code, output in blocks:
        exec(compile(code, "README.md", "exec"), {})
        assert capsys.readouterr().out == output


LAST_LINES = {"quickstart": ".venv/bin/kit quickstart", "test": ".venv/bin/pytest -n 2"}


@pytest.mark.parametrize(("mark", "last"), LAST_LINES.items())
def test_its_commands_are_marked(mark, last):
    command = re.search(rf"<!-- {mark} -->\n```bash\n(.*?)\n```\n<!-- end -->", README, re.S)
    assert command and command[1].splitlines()[-1] == last


def test_every_file_it_names_is_there():
    named = re.findall(r"`((?:docs|tests|data|notebooks|kit)/[\w./-]+)`", README)
    assert named and [name for name in named if not (ROOT / name).exists()] == []
