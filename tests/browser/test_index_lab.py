"""The index lab's exported page: its filter, and a plan that is Python's."""

from __future__ import annotations

import numpy as np
import pytest

from kit.bench.index_measures import Measured
from kit.bench.index_plan import family
from kit.widgets import IndexLab


@pytest.fixture
def measured_lab() -> IndexLab:
    lab = IndexLab(np.eye(50, 16, dtype="f4"), np.eye(4, 16, dtype="f4"), specs=["Flat"], k=5)
    at = {"build_seconds": 0.1, "count": 1_000, "dimension": 16, "bytes": 66_000}
    lab.measured = [Measured("Flat", "", None, 1.0, 2.0, cells=0, **at)]
    lab.measured += [
        Measured("IVF8,Flat", "nprobe", n, recall, ms, cells=8, **at)
        for n, recall, ms in ((1, 0.33, 0.5), (4, 0.92, 1.0), (8, 1.0, 2.0))
    ]
    lab.measured.append(Measured("HNSW8", "ef_search", 16, 0.95, 0.3, cells=0, **at))
    lab._show()
    return lab


def test_the_filter_filters_and_the_plan_is_pythons(measured_lab, open_file, pictures):
    page = open_file(measured_lab)
    rows = page.locator("[data-panel=measured] tbody tr")
    assert rows.count() == 4 and "33.0%" not in "".join(rows.all_inner_texts())
    page.get_by_label("recall", exact=True).select_option(label="any")
    page.get_by_text("5 of 5 measured").wait_for()
    assert page.get_by_label("indexes").is_hidden(), "an exported page measures nothing"
    for count, dimension, recall in ((21_015_324, 768, 0.9), (1_000_000, 64, 0.0)):
        measured_lab.set(count=count, dimension=dimension, least_recall=recall)
        page.evaluate(f"() => {{ location.hash = '#count={count}&dimension={dimension}&least_recall={recall}'; }}")
        page.get_by_text(f"Plan for {count:,} passages").wait_for()
        cells = {
            row.split("\t")[0].strip(): row.split("\t")
            for row in page.locator("[data-panel=plan] tbody tr").all_inner_texts()
        }
        for one in measured_lab.plan():
            *_, size, time = (cell.strip() for cell in cells[one.spec])
            assert float(size.removesuffix(" GB").replace(",", "")) == pytest.approx(one.gigabytes, abs=0.051)
            assert bool(time) == (one.milliseconds is not None) and bool(time) <= bool(family(one.spec))
            if time:
                number, unit = time.removeprefix("≈ ").split()
                assert float(number) * (1000 if unit == "s" else 1) == pytest.approx(one.milliseconds, rel=0.06)
    pictures(page, "index-lab-page")
