"""What stands in the way on this machine: versions against the tested ranges, GPU, memory, threads."""

from __future__ import annotations

from collections.abc import Callable

from kit.doctor import machine, packages
from kit.doctor.packages import Check

__all__ = ["Check", "checks"]

MACHINE: dict[str, Callable[[], Check]] = {
    "widgets": packages.check_widgets,
    "gpu": machine.check_gpu,
    "memory": machine.check_memory,
    "threads": machine.check_threads,
    "openmp": machine.check_openmp,
    "disk": machine.check_disk,
    "toy models": machine.check_toy_models,
    "browser": machine.check_browser,
}


def checks() -> list[Check]:
    """Every check, in the order in which they should be read; none of them changes anything."""
    needs = packages.requirements()
    if needs is None:
        advice = "pip install -e . in a checkout of the kit"
        return [Check("kit", False, "neither installed nor a checkout: no versions are known", advice)]
    return [
        packages.check_python(needs.python),
        *packages.check_packages(needs.packages),
        packages.check_faiss(needs.faiss),
        *(packages.check_extra(name, needs.extras[name]) for name in packages.EXTRAS if name in needs.extras),
        packages.check_tested_together(packages.CHECKOUT / "constraints.txt"),
        *(_guarded(name, look) for name, look in MACHINE.items()),
    ]


def _guarded(name: str, look: Callable[[], Check]) -> Check:
    """The check, or what kept it from being made (a package that does not import)."""
    try:
        return look()
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        return Check(name, False, f"{type(error).__name__}: {error}".splitlines()[0], "see the packages above")
