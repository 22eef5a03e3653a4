"""The playground in JupyterLab and under Voila: asked, read and changed with the keyboard alone."""

from __future__ import annotations

CELLS = [
    "# A playground",
    "import kit\nfrom kit.toy import DATA, build_world\nfrom kit.widgets import Playground\n"
    "world = build_world(generated=0, passages_each=2, questions_each=1)\n"
    "corpus = kit.data.Corpus(world.passages.values())\n"
    "reader = kit.FiDReader.from_pretrained(DATA / 't5', device='cpu')\n"
    "encoder = kit.DualEncoder.from_pretrained(DATA / 'bert', device='cpu')\n"
    "index = kit.build_index(list(corpus), encoder.encode_passages(corpus.values(), batch_size=256))\n"
    "retrievers = {'BM25': kit.BM25(corpus), 'student': kit.DenseRetriever(encoder, index)}",
    "Playground(corpus, retrievers, reader, questions=world.questions['test'][:9], k=5)",
]
READ = "() => [...document.querySelectorAll('[role=status]')].some((e) => /passages read in/.test(e.textContent))"
ASKED = "(words) => document.body.innerText.includes(words)"
DRAWN = "(words) => document.querySelector('.kit-figure .yaxislayer-above')?.textContent.includes(words)"


def ask(page, question):
    """Type a question, and wait until it has been read."""
    page.wait_for_function(READ)
    box = page.get_by_label("question", exact=True)
    box.fill(question)
    box.press("Enter")


def test_in_lab_a_passage_is_changed_and_read_again(lab, run_notebook, pictures):
    page = run_notebook(lab, CELLS)
    page.wait_for_selector(".kit-figure .main-svg")
    ask(page, "What is the capital of France?")
    page.wait_for_function(DRAWN, arg="Loire")
    page.wait_for_timeout(300)
    pictures(page, "playground-lab-light")
    answer = page.get_by_text("Answer:").inner_text()
    page.get_by_role("button", name="Drop").focus()
    page.keyboard.press("Enter")
    page.wait_for_function(ASKED, arg="(before:")
    page.wait_for_function("() => document.querySelectorAll('.kit-figure .scatterlayer .point').length > 0")
    pictures(page, "playground-lab-light-changed")
    assert answer.startswith("Answer:") and "4 passages read" in page.locator("[role=status]").first.inner_text()
    assert page.errors == []


def test_in_voila_a_question_is_asked(voila, run_notebook, pictures):
    page = run_notebook(voila, CELLS, dark=True)
    page.wait_for_selector(".kit-figure .main-svg")
    ask(page, "Which currency is used in Japan?")
    page.wait_for_function(DRAWN, arg="Japan")
    page.wait_for_timeout(300)
    pictures(page, "playground-voila-dark")
    assert page.get_by_label("question", exact=True).input_value() == "Which currency is used in Japan?"
    assert page.errors == []
