"""The doctor: versions against ranges, faiss once and only once, and what it says of the machine."""

from __future__ import annotations

import email.message
import importlib.metadata
import json
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement
from test_cli import kit

from kit import doctor
from kit.doctor import Check, machine, packages


def installed(monkeypatch, **versions):
    """Only these packages are installed."""

    def version(name):
        if name.replace("-", "_") not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name.replace("-", "_")]

    monkeypatch.setattr(packages.importlib.metadata, "version", version)


@pytest.mark.parametrize(
    ("given", "ok"), [("2.8.0", True), ("2.13.0+cpu", True), ("2.7.1", False), ("2.14.0", False), ("2.9.0rc1", True)]
)
def test_a_version_is_held_against_its_range(monkeypatch, given, ok):
    installed(monkeypatch, torch=given)
    found = packages.check_package(Requirement("torch>=2.8,<2.14"))
    assert found.ok is ok and found.found.startswith(given)
    assert bool(found.advice) is not ok


def test_a_missing_package_is_named_with_its_remedy(monkeypatch):
    installed(monkeypatch)
    assert packages.check_package(Requirement("plotly>=6.3,<8")) == Check(
        "plotly", False, "missing (wanted <8,>=6.3)", "pip install 'plotly<8,>=6.3'"
    )


def test_packages_that_are_not_shown_are_one_check(monkeypatch):
    installed(monkeypatch, torch="2.9", regex="2020.1", tqdm="4.70")
    wanted = [Requirement(line) for line in ("torch>=2.8", "regex>=2024.5", "tqdm>=4.66")]
    found = packages.check_packages(tuple(wanted))
    assert [check.name for check in found] == ["torch", "other packages"]
    assert not found[1].ok and found[1].found == "regex 2020.1, not tested (wanted >=2024.5)"
    installed(monkeypatch, torch="2.9", regex="2025.1", tqdm="4.70")
    assert packages.check_packages(tuple(wanted))[1] == Check("other packages", True, "2 as they should be")


def test_an_extra_is_looked_at_as_far_as_it_is_installed(monkeypatch):
    needs = (Requirement("ipywidgets>=7.7"), Requirement("plotly>=5.24,<8"))
    installed(monkeypatch, ipywidgets="8.1", plotly="6.0")
    assert packages.check_extra("widgets", needs) == Check("extra widgets", True, "2 as they should be")
    installed(monkeypatch, ipywidgets="8.1")
    found = packages.check_extra("widgets", needs)
    assert found.ok and found.found == "plotly missing (pip install 'kit[widgets]')"
    installed(monkeypatch, ipywidgets="7.6")
    found = packages.check_extra("widgets", needs)
    assert not found.ok and found.found == "ipywidgets 7.6, not tested (wanted >=7.7)"
    installed(monkeypatch)
    assert packages.check_extra("widgets", needs).found == "not installed (pip install 'kit[widgets]')"


def test_versions_other_than_those_tested_together_are_said(monkeypatch, tmp_path):
    constraints = tmp_path / "constraints.txt"
    assert packages.check_tested_together(constraints).found.startswith("not known here")
    constraints.write_text("# tested\ntorch==2.13.0\nregex==2025.1 ; python_version > '3'\nplotly==6.0\n")
    installed(monkeypatch, torch="2.13.0+cpu", regex="2025.1")
    assert packages.check_tested_together(constraints).found == "all 2 packages of constraints.txt"
    installed(monkeypatch, torch="2.12.0", regex="2025.1")
    found = packages.check_tested_together(constraints)
    assert found.ok and found.found == "1 of 2 packages of constraints.txt; not torch 2.12.0 (tested: 2.13.0)"


def test_macos_has_its_way_round(monkeypatch):
    monkeypatch.setattr(machine.sys, "platform", "darwin")
    assert "OMP_NUM_THREADS=1" in machine.check_openmp().advice
    monkeypatch.setattr(machine.sys, "platform", "linux")
    assert machine.check_openmp().advice == ""


def test_no_browser_is_advice_for_those_who_test(monkeypatch):
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    installed(monkeypatch, playwright="1.50")
    assert "apt-get install chromium" in machine.check_browser().advice
    installed(monkeypatch)
    assert machine.check_browser().advice == ""


def test_threads_are_told_with_the_quota_and_what_the_user_set(monkeypatch):
    monkeypatch.setattr(machine, "cpu_quota", lambda: 1.5)
    monkeypatch.setattr(machine, "thread_count", lambda: 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    found = machine.check_threads()
    assert (
        found.found.startswith("3 of torch on 1 of ")
        and "(the container's quota: 1.5); OMP_NUM_THREADS=3" in found.found
    )
    assert found.advice == "more threads than processors slow each other down: OMP_NUM_THREADS=1"


def test_faiss_is_there_once(monkeypatch):
    wanted = Requirement("faiss-cpu>=1.10,<2")
    for versions, ok, told in [
        ({"faiss_cpu": "1.11.0"}, True, "faiss-cpu 1.11.0"),
        ({"faiss": "1.10.0"}, True, "faiss 1.10.0"),
        ({"faiss_gpu": "1.7.2"}, False, "faiss-gpu 1.7.2 (wanted"),
        ({}, False, "missing"),
        ({"faiss_cpu": "1.11.0", "faiss_gpu": "1.11.0"}, False, "faiss-cpu and faiss-gpu, which overwrite each other"),
    ]:
        installed(monkeypatch, **versions)
        found = packages.check_faiss(wanted)
        assert found.ok is ok and found.found.startswith(told) and bool(found.advice) is not ok


WIDGETS = {"ipywidgets": "8.1.9", "jupyterlab_widgets": "3.0.17", "anywidget": "0.11.0", "jupyterlab": "4.6.6"}
EXTENSIONS = {"@jupyter-widgets/jupyterlab-manager": "5.0.16", "anywidget": "0.11.0"}


@pytest.fixture
def jupyter(monkeypatch, tmp_path):
    """Two places for extensions, own before shared, and one for settings; the shared one has both extensions."""
    for name in ("own", "shared", "settings/labconfig"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *_: [str(tmp_path / "own"), str(tmp_path / "shared")])
    monkeypatch.setattr("jupyter_core.paths.jupyter_config_path", lambda: [str(tmp_path / "settings")])
    monkeypatch.setattr(
        packages.importlib.metadata, "requires", lambda name: ["jupyterlab_widgets~=3.0.15", "pytz; extra == 'test'"]
    )
    for name, version in EXTENSIONS.items():
        extend(tmp_path / "shared", name, version)
    return tmp_path


def extend(folder, name, version):
    (folder / name).mkdir(parents=True)
    (folder / name / "package.json").write_text(json.dumps({"version": version}))


def test_widgets_that_fit_are_well(jupyter, monkeypatch):
    installed(monkeypatch, **WIDGETS)
    told = "ipywidgets 8.1.9, jupyterlab_widgets 3.0.17, anywidget 0.11.0"
    assert packages.check_widgets() == Check("widgets", True, told)
    installed(monkeypatch, **{name: version for name, version in WIDGETS.items() if name != "jupyterlab"})
    assert packages.check_widgets().ok and "another environment" in packages.check_widgets().advice


def test_widgets_that_do_not_fit_are_named(jupyter, monkeypatch):
    installed(monkeypatch, **{**WIDGETS, "jupyterlab_widgets": "1.1.0"})
    found = packages.check_widgets()
    assert not found.ok and "--upgrade" in found.advice
    assert found.found == "ipywidgets 8.1.9 needs jupyterlab_widgets~=3.0.15, here is 1.1.0"
    installed(monkeypatch, ipywidgets="8.1.9")
    assert packages.check_widgets().found == "jupyterlab_widgets, anywidget missing"
    installed(monkeypatch)
    assert packages.check_widgets().ok and "not installed" in packages.check_widgets().found


def test_a_widgets_extension_is_missing_hidden_or_switched_off(jupyter, monkeypatch):
    installed(monkeypatch, **WIDGETS)
    page = jupyter / "settings" / "labconfig" / "page_config.json"
    page.write_text(
        json.dumps({"disabledExtensions": {"anywidget": True, "@jupyter-widgets/jupyterlab-manager": False}})
    )
    found = packages.check_widgets()
    assert not found.ok and found.found == f"anywidget is switched off in {page}"
    assert found.advice == "jupyter labextension enable anywidget"
    page.unlink()
    extend(jupyter / "own", "anywidget", "0.9.0")
    found = packages.check_widgets()
    assert not found.ok and str(jupyter / "own" / "anywidget") in found.found and found.advice.startswith("remove ")
    for folder in ("own", "shared"):
        (jupyter / folder / "anywidget" / "package.json").unlink()
    found = packages.check_widgets()
    assert not found.ok and found.found.startswith("JupyterLab lacks the extension anywidget")
    assert found.advice.startswith("pip install --force-reinstall anywidget")


def test_python_is_held_against_its_range():
    assert packages.check_python(">=3.11").ok and not packages.check_python(">=3.99").ok


def test_requirements_are_those_of_the_project():
    found = packages.requirements()
    names = {one.name for one in found.packages}
    assert (
        set(packages.SHOWN) <= names and found.faiss.name == "faiss-cpu" and set(packages.EXTRAS) <= set(found.extras)
    )
    assert found.python == ">=3.11" and not names & {"pytest", "faiss-gpu", "playwright", "ipywidgets"}


def test_requirements_of_a_wheel_come_from_its_metadata(monkeypatch, tmp_path):
    wheel = email.message.Message()
    wheel["Requires-Python"], wheel["Provides-Extra"] = ">=3.11", "cpu"
    lines = ["torch<2.14,>=2.11", "faiss-cpu<2,>=1.12; extra == 'cpu'", "kit[cpu]; extra == 'cpu'"]
    monkeypatch.setattr(packages, "CHECKOUT", tmp_path)
    monkeypatch.setattr(packages.importlib.metadata, "metadata", lambda name: wheel)
    monkeypatch.setattr(packages.importlib.metadata, "requires", lambda name: lines)
    found = packages.requirements()
    assert [one.name for one in found.packages] == ["torch"] and [one.name for one in found.extras["cpu"]] == [
        "faiss-cpu"
    ]
    assert found.faiss.specifier.contains("1.12")


def test_without_package_or_checkout_no_version_is_known(monkeypatch, tmp_path):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(packages.importlib.metadata, "metadata", missing)
    monkeypatch.setattr(packages, "CHECKOUT", tmp_path)
    assert [check.ok for check in doctor.checks()] == [False]


def test_a_check_that_cannot_be_made_is_wrong():
    def look():
        raise ImportError("libcudart.so is missing\nand more")

    found = doctor._guarded("gpu", look)
    assert not found.ok and found.found == "ImportError: libcudart.so is missing"


def test_the_toy_models_are_asked_for(monkeypatch, tmp_path):
    monkeypatch.setattr("kit.shipped.DATA", tmp_path)
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "config.json").touch()
    found = machine.check_toy_models()
    assert not found.ok and found.found.startswith("no t5 and no bert-cat and no dpr-reader in")


@pytest.mark.parametrize("look", doctor.MACHINE.values(), ids=doctor.MACHINE)
def test_the_machine_is_described(look):
    found = look()
    assert found.name and found.found and "\n" not in found.found


def test_the_command_prints_and_tells_by_its_exit_code(monkeypatch):
    good, bad = Check("torch", True, "2.9"), Check("faiss", False, "missing", "pip install faiss-cpu")
    monkeypatch.setattr("kit.doctor.checks", lambda: [good])
    assert kit("kit doctor") == (0, "    check  found\nok  torch  2.9\n", "")
    monkeypatch.setattr("kit.doctor.checks", lambda: [good, bad])
    ended = kit("kit doctor")
    assert ended.code == 1 and "WRONG  faiss  missing" in ended.out and "faiss: pip install faiss-cpu" in ended.out
    ended = kit("kit doctor --json")
    assert ended.code == 1 and json.loads(ended.out)[1] == {**vars(bad)}


def test_memory_of_a_container(monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda self: "2000000000\n")
    found = machine.check_memory()
    assert not found.ok and found.found.startswith("2.0 GB")
