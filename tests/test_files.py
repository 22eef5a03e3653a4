"""Files and folders that appear whole or not at all, whenever a process is killed; JSON in and out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial

import pytest
from kills import killed

from kit.files import contents, folder_aside, locked, read_json, restored, write_json, written_aside
from kit.types import KitError


def test_a_file_that_fails_halfway_leaves_the_old_one(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), written_aside(path) as aside:
        aside.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_was_made_for_a_file_goes_again_with_it(tmp_path):
    with pytest.raises(ZeroDivisionError), written_aside(tmp_path / "a" / "b" / "c.txt") as aside:
        aside.write_text("half")
        1 / 0  # noqa: B018
    assert not list(tmp_path.iterdir())
    (tmp_path / "a").mkdir()
    with pytest.raises(ZeroDivisionError), written_aside(tmp_path / "a" / "b" / "c.txt"):
        1 / 0  # noqa: B018
    assert [path.name for path in tmp_path.iterdir()] == ["a"], "a folder that was there stays"


def test_a_file_written_aside_is_for_all_whom_the_umask_allows(tmp_path):
    umask = os.umask(0o022)
    try:
        with written_aside(tmp_path / "a") as aside:
            aside.unlink()  # as safetensors does, which puts a file of its own there, for its owner alone
            aside.touch(mode=0o600)
    finally:
        os.umask(umask)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def save(folder):
    with folder_aside(folder / "model", "about.json") as new:
        write_json(new / "about.json", {"version": 2})
        (new / "weights").write_text("new")


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_is_whole_whenever_the_process_is_killed(tmp_path, exchange):
    for number in range(1, 40):
        model = tmp_path / str(number) / "model"
        with folder_aside(model, "about.json") as new:
            write_json(new / "about.json", {"version": 1})
            (new / "weights").write_text("old")
        code = killed(partial(save, model.parent), number, exchange)
        if exchange:
            assert model.exists(), f"no folder under the name after kill {number}"
        found = read_json(restored(model) / "about.json", dict)
        assert {1: "old", 2: "new"}[found["version"]] == (model / "weights").read_text()
        with folder_aside(model, "about.json") as new:  # the next run tidies up what the dead one left
            write_json(new / "about.json", {"version": 3})
        assert [path.name for path in model.parent.iterdir()] == ["model"]
        assert [path.name for path in model.iterdir()] == ["about.json"]
        if code == 0:
            break
    assert code == 0 and number > 6


def test_what_dead_processes_left_is_removed_by_the_next_and_is_no_content(tmp_path):
    write_json(tmp_path / "a.json", [1])
    left = 0
    for number in range(1, 6):
        killed(lambda: write_json(tmp_path / "a.json", [2]), number)
        left += len(list(tmp_path.iterdir())) > 1
        assert contents(tmp_path) == [tmp_path / "a.json"] and read_json(tmp_path / "a.json") in ([1], [2])
    assert left, "no kill left anything: the test does not test"
    write_json(tmp_path / "b.json", 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b.json"]


def test_a_temporary_file_in_use_is_left_alone(tmp_path):
    with written_aside(tmp_path / "a") as first:
        first.write_text("a")
        write_json(tmp_path / "b.json", 1)
        code = "import sys, kit.files; kit.files.write_json(sys.argv[1], 2)"
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "c.json")], check=True)
        assert first.exists()
    assert (tmp_path / "a").read_text() == "a"


def test_a_folder_with_other_files_is_left_alone_and_so_is_a_file(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.md").write_text("years")
    with pytest.raises(KitError, match=r"thesis\.md"), folder_aside(tmp_path / "model", "about.json"):
        pytest.fail("the block runs")
    with folder_aside(tmp_path / "other", "about.json") as new:
        write_json(new / "about.json", {})
    (tmp_path / "other" / "deep").mkdir()
    (tmp_path / "other" / "deep" / "thesis.md").write_text("years")
    with pytest.raises(KitError, match=r"deep/thesis\.md"), folder_aside(tmp_path / "other", "about.json"):
        pytest.fail("the block runs")
    with pytest.raises(KitError, match="wanted a folder, given a file"), folder_aside(tmp_path / "model" / "thesis.md"):
        pytest.fail("the block runs")
    assert (tmp_path / "model" / "thesis.md").read_text() == "years"


def test_a_folder_that_fails_leaves_the_old_one(tmp_path):
    with folder_aside(tmp_path / "model", "about.json") as new:
        write_json(new / "about.json", {})
    with pytest.raises(ZeroDivisionError), folder_aside(tmp_path / "model", "about.json") as new:
        (new / "half").touch()
        1 / 0  # noqa: B018
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "about.json"]


def test_files_of_a_folder_are_for_all_whom_the_umask_allows(tmp_path):
    with folder_aside(tmp_path / "model") as new:
        (new / "weights").touch(mode=0o600)
        (new / "about.json").touch()
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "model").iterdir()}
    assert len(modes) == 1 and modes != {0o600}


def test_a_link_is_written_through(tmp_path):
    write_json(tmp_path / "real.json", 1)
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    write_json(tmp_path / "link.json", 2)
    assert (tmp_path / "link.json").is_symlink() and read_json(tmp_path / "real.json") == 2


def test_a_lock_is_held_by_one_and_not_by_the_dead(tmp_path):
    other = "import sys, kit.files\nwith kit.files.locked(sys.argv[1]): pass"
    with locked(tmp_path / "run"):
        ended = subprocess.run([sys.executable, "-c", other, str(tmp_path / "run")], capture_output=True, text=True)
        assert "wanted a folder that no other process works in, given one in use now" in ended.stderr
    die = "import os, sys, kit.files\nwith kit.files.locked(sys.argv[1]): os._exit(9)"
    assert subprocess.run([sys.executable, "-c", die, str(tmp_path / "run")]).returncode == 9
    with locked(tmp_path / "run"):
        pass


def test_json_comes_back_and_what_is_none_is_refused_in_one_line(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": ["é", 1.5, None]})
    assert read_json(path, dict) == {"a": ["é", 1.5, None]} and path.read_text("utf-8").endswith("}\n")
    with pytest.raises(KitError, match="wanted a JSON list, given dict"):
        read_json(path, list)
    with pytest.raises(KitError, match="given no such file"):
        read_json(tmp_path / "b.json")
    for broken in (b"", b"{", b"\xff\xfe", b"[" * 100_000):
        path.write_bytes(broken)
        with pytest.raises(KitError, match=r"a\.json: wanted JSON, given a file that does not read"):
            read_json(path)
    path.write_text("\ufeff" + json.dumps([1]), encoding="utf-8")
    assert read_json(path, list) == [1]


def test_the_disk_has_the_contents_before_the_name(tmp_path, monkeypatch):
    steps = []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr(os, "replace", lambda *paths: (steps.append("name"), replace(*paths)))
    monkeypatch.setattr(os, "fsync", lambda handle: (steps.append("disk"), fsync(handle)))
    write_json(tmp_path / "a.json", 1)
    assert steps == ["disk", "name", "disk"]
