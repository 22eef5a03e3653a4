"""Versions: of Python and of packages against the ranges that were tested, and whether they fit each other.

The ranges are the package's own requirements; a checkout's constraints.txt names the versions that passed together.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import tomllib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

SHOWN = ("torch", "transformers")
EXTRAS = ("widgets", "lab", "course")  # a look, a JupyterLab, pages; each is optional
FAISS = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu11", "faiss-gpu-cu12")  # they hold the same module
# What widgets need of each other, and the extension that each brings to JupyterLab, Notebook 7 and Voila.
WIDGETS = {"ipywidgets": None, "jupyterlab_widgets": "@jupyter-widgets/jupyterlab-manager", "anywidget": "anywidget"}
CHECKOUT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Check:
    """One thing looked at: whether it is as it should be, what was found, and what to do (also where it is well)."""

    name: str
    ok: bool
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Requirements:
    """What the package says that it needs, and what each of its extras needs beside that."""

    python: str
    packages: tuple[Requirement, ...]
    extras: dict[str, tuple[Requirement, ...]]

    @property
    def faiss(self) -> Requirement | None:
        """The range of faiss."""
        return next((one for each in self.extras.values() for one in each if one.name in FAISS), None)


def requirements() -> Requirements | None:
    """The requirements of the checkout that this file stands in, or of the installed package; None without either."""
    if (CHECKOUT / "pyproject.toml").is_file():  # an editable installation's own record may be older
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        python, core = project["requires-python"], [Requirement(line) for line in project["dependencies"]]
        optional = project.get("optional-dependencies", {})
        of_extra = {name: [Requirement(line) for line in lines] for name, lines in optional.items()}
    else:
        try:
            about = importlib.metadata.metadata("kit")
        except importlib.metadata.PackageNotFoundError:
            return None
        python, extras = about["Requires-Python"] or "", about.get_all("Provides-Extra") or []
        lines = [Requirement(line) for line in importlib.metadata.requires("kit") or []]
        core = [one for one in lines if one.marker is None or one.marker.evaluate({"extra": ""})]
        of_extra = {name: [one for one in lines if one not in core and _is_of(one, name)] for name in extras}
    own = {name: tuple(one for one in lines if one.name != "kit") for name, lines in of_extra.items()}
    return Requirements(python, tuple(core), own)


def _is_of(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is not None and requirement.marker.evaluate({"extra": extra})


def check_python(range_: str) -> Check:
    """The running Python against the package's range."""
    version = platform.python_version()
    ok = SpecifierSet(range_).contains(version, prereleases=True)
    return Check("python", ok, f"{version} (wanted {range_})", "" if ok else f"a Python {range_}")


def check_packages(needs: tuple[Requirement, ...]) -> list[Check]:
    """A check for each package of `SHOWN`, and one for all others."""
    every = {one.name: check_package(one) for one in needs}
    shown = [every[name] for name in SHOWN if name in every]
    return [*shown, _together("other packages", [check for name, check in every.items() if name not in SHOWN])]


def check_extra(name: str, needs: tuple[Requirement, ...]) -> Check:
    """The packages of an extra: those that are installed against their ranges. None has to be there."""
    there = [check_package(one) for one in needs if version_of(one.name) is not None]
    missing = [one.name for one in needs if version_of(one.name) is None]
    extra = _together(f"extra {name}", there)
    if missing and extra.ok:
        found = f"{', '.join(missing)} missing" if there else "not installed"
        return Check(extra.name, True, f"{found} (pip install 'kit[{name}]')")
    return extra


def _together(name: str, every: list[Check]) -> Check:
    wrong = [check for check in every if not check.ok]
    found = "; ".join(f"{check.name} {check.found}" for check in wrong) or f"{len(every)} as they should be"
    return Check(name, not wrong, found, "; ".join(check.advice for check in wrong))


def check_package(need: Requirement) -> Check:
    """An installed package against the range that was tested."""
    remedy = f"pip install '{need.name}{need.specifier}'"
    version = version_of(need.name)
    if version is None:
        return Check(need.name, False, f"missing (wanted {need.specifier})", remedy)
    ok = need.specifier.contains(version, prereleases=True)
    found = f"{version} (wanted {need.specifier})" if ok else f"{version}, not tested (wanted {need.specifier})"
    return Check(need.name, ok, found, "" if ok else remedy)


def check_tested_together(constraints: Path) -> Check:
    """How many installed packages have the very versions that passed the tests together. Others may be right too."""
    name = "tested together"
    if not constraints.is_file():
        return Check(name, True, "not known here (a checkout's constraints.txt lists the versions)")
    pins = re.findall(r"^([A-Za-z0-9_.-]+)==([^ ;#\n]+)", constraints.read_text(encoding="utf-8"), flags=re.MULTILINE)
    installed = [(package, pin, version) for package, pin in pins if (version := version_of(package)) is not None]
    other = [
        f"{package} {version} (tested: {pin})"
        for package, pin, version in installed
        if version.partition("+")[0] != pin
    ]
    if not other:
        return Check(name, True, f"all {len(installed)} packages of constraints.txt")
    found = f"{len(installed) - len(other)} of {len(installed)} packages of constraints.txt; not {', '.join(other[:3])}"
    return Check(name, True, found + (" ..." if len(other) > 3 else ""), f"pip install -c {constraints.name} -e .")


def check_faiss(need: Requirement | None) -> Check:
    """One of faiss's packages: none is missing, two overwrite each other. conda's is called plain faiss."""
    installed = [name for name in (*FAISS, "faiss") if version_of(name) is not None]
    if len([name for name in installed if name != "faiss"]) > 1:
        remedy = f"pip uninstall -y {' '.join(installed)}, then pip install the one you want"
        return Check("faiss", False, f"{' and '.join(installed)}, which overwrite each other", remedy)
    if not installed:
        return Check("faiss", False, "missing", "pip install faiss-cpu (or faiss-gpu, never both)")
    if find_spec("faiss") is None:
        remedy = f"pip install --force-reinstall {installed[0]}"
        return Check("faiss", False, f"{installed[0]} without its module", remedy)
    version = version_of(installed[0]) or ""
    ok = need is None or need.specifier.contains(version, prereleases=True)
    wanted = "" if need is None else str(need.specifier)
    found = f"{installed[0]} {version}" + (f" (wanted {wanted})" if wanted else "")
    return Check("faiss", ok, found, "" if ok else f"pip install '{installed[0]}{wanted}'")


def check_widgets() -> Check:
    """Whether the widgets' packages fit each other, and JupyterLab has their extensions, whole and switched on."""
    missing = [name for name in WIDGETS if version_of(name) is None]
    if "ipywidgets" in missing:
        return Check("widgets", True, "not installed (pip install 'kit[widgets]' for the explorers)")
    if missing:
        return Check("widgets", False, f"{', '.join(missing)} missing", f"pip install {' '.join(missing)}")
    versions = ", ".join(f"{name} {version_of(name)}" for name in WIDGETS)
    for name in WIDGETS:
        for need in map(Requirement, importlib.metadata.requires(name) or []):
            version = version_of(need.name)
            if need.name not in WIDGETS or version is None or need.marker is not None:
                continue
            if not need.specifier.contains(version, prereleases=True):
                remedy = f"pip install --upgrade {' '.join(WIDGETS)}"
                return Check("widgets", False, f"{name} {version_of(name)} needs {need}, here is {version}", remedy)
    for name, extension in WIDGETS.items():
        if extension and (trouble := _extension_trouble(name, extension)):
            return Check("widgets", False, *trouble)
    advice = "where JupyterLab runs in another environment, that one needs jupyterlab_widgets and anywidget too"
    return Check("widgets", True, versions, "" if version_of("jupyterlab") else advice)


def _extension_trouble(name: str, extension: str) -> tuple[str, str] | None:
    """What keeps JupyterLab from a widgets' extension, and what to do; None where all is well."""
    from jupyter_core.paths import jupyter_config_path, jupyter_path

    found = [
        place for path in jupyter_path("labextensions") if (place := Path(path, extension, "package.json")).exists()
    ]
    if not found:
        remedy = f"pip install --force-reinstall {name}, then reload the page"
        return f"JupyterLab lacks the extension {extension} of {name}: its widgets stay empty", remedy
    versions = {json.loads(place.read_text(encoding="utf-8")).get("version") for place in found}
    if len(versions) > 1:
        first = found[0].parent
        return f"{extension} is there in several versions, and {first} hides the others", f"remove {first}"
    for folder in jupyter_config_path():
        page = Path(folder, "labconfig", "page_config.json")
        switched_off = (
            json.loads(page.read_text(encoding="utf-8")).get("disabledExtensions", {}) if page.exists() else {}
        )
        if switched_off.get(extension) if isinstance(switched_off, dict) else extension in switched_off:
            return f"{extension} is switched off in {page}", f"jupyter labextension enable {extension}"
    return None


def version_of(name: str) -> str | None:
    """The version of an installed package."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
