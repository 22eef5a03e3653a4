"""The index lab in JupyterLab: measured by its button while the page stays alive, and planned."""

from __future__ import annotations

CELLS = [
    "# An index lab",
    "import numpy as np\nfrom kit.widgets import IndexLab\nrandom = np.random.default_rng(0)\n"
    "vectors = random.normal(size=(3000, 32)).astype('f4')\n"
    "questions = vectors[:50] + 0.5 * random.normal(size=(50, 32)).astype('f4')",
    "IndexLab(vectors, questions, specs=['Flat', 'SQ8', 'IVF32,Flat', 'HNSW16'])",
]


def test_in_lab_indexes_are_measured_in_the_background(lab, run_notebook, pictures):
    page = run_notebook(lab, CELLS, dark=True)
    button = page.get_by_role("button", name="Measure")
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelectorAll('.kit-figure .scatterlayer .trace').length === 4")
    page.wait_for_function("() => document.body.innerText.includes('EXTRAPOLATION')")
    page.wait_for_timeout(1000)
    pictures(page, "index-lab-dark")
    page.get_by_label("passages", exact=True).fill("1000000")
    page.keyboard.press("Tab")
    page.wait_for_function("() => document.body.innerText.includes('1,000,000 passages')")
    assert page.errors == []
