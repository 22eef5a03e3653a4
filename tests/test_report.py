"""The report of a made-up run: what stands in it, that it fetches nothing, and what it says of broken files."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas
import pytest

from kit.report import write_report
from kit.report.files import require
from kit.report.results import gold_above
from kit.report.story import softmax, story_parts
from kit.report.write import SECTIONS
from kit.types import KitError

CITIES = ("France", "Lyon", "Paris", "Gaul", "Seine", "Spain", "Madrid", "Louvre", "Calais", "Brest")
NASTY = "</script><b>Île & 'co'</b>"


def made_figures():
    recall = {"1": 0.41, "5": 0.73, "20": 0.91}
    return {
        "seconds": 243.7,
        "stages": [{"name": "writing the encyclopaedia", "seconds": 4.25}, {"name": "the rounds", "seconds": 239.45}],
        "corpus": {
            "passages": 4321, "questions": {"train": 2001, "dev": 301, "test": 603},
            "entities": {"real": 142, "made": 521}, "words": 26.4,
        },
        "reader": {
            "em": {"all": 0.8125, "one fact": 0.9, "several facts": 0.7, "right entity only": 0.85,
                   "with look-alikes": 0.6,
                   "real": 0.83, "made": 0.79, "counterfactual": 0.77},
            "em_closed_book": 0.0125, "before": 0.1875, "questions": 600,
        },
        "attention": {"gold_top1": 0.7625, "bm25_gold_top1": 0.5375},
        "evidence": {"all": 0.8, "attention": 0.7875, "bm25": 0.7, "random": 0.3},
        "bm25": {"recall": {"1": 0.5, "5": 0.88, "20": 0.94}},
        "before": {"recall": recall},
        "rounds": [{"number": n, "recall": {k: v + 0.04 * n for k, v in recall.items()}, "em": 0.74 + 0.03 * n}
                   for n in (1, 2)],
        "peak_memory_mb": 1234.5,
    }  # fmt: skip


def made_story():
    draw = np.random.default_rng(0)
    passages = []
    for number, title in enumerate(CITIES):
        name = title.lower()
        text = f"question : what is the capital of france ? title : {name} context : in {name} , the capital is paris ."
        tokens = text.split()
        weights = draw.dirichlet(np.full(len(tokens), 0.3)) * (0.55 if number == 2 else 0.05)
        passages.append(
            {"id": f"p{number}", "title": title, "text": f"In {title}, the capital is Paris. The sea is near it.",
             "gold": number in (2, 6), "bm25": None if number > 7 else 12.5 - number,
             "attention": 3.5 if number == 2 else float(draw.normal(-8, 3)), "before": float(draw.normal()),
             "after": float(draw.normal() + 3 * (number == 2)), "tokens": tokens, "probabilities": weights.tolist(),
             "logits": draw.normal(size=len(tokens)).tolist()}
        )  # fmt: skip
    found = {
        name: [{"id": f"p{n}", "title": CITIES[n], "gold": n in (2, 6)} for n in order]
        for name, order in (("bm25", (0, 1, 2, 3, 4)), ("before", (3, 4, 5, 7, 8)), ("after", (2, 0, 6, 1, 4)))
    }
    return {
        "question": "what is the capital of france", "answers": ["Paris"], "said": "paris", "passages": passages,
        "found": found,
    }  # fmt: skip


def made_distributions(questions=40, passages=10):
    draw = np.random.default_rng(1)
    gold = np.zeros((questions, passages), dtype=bool)
    gold[:, :2] = draw.random((questions, 2)) < 0.7
    rows = {
        "question_id": np.repeat([f"q{n}" for n in range(questions)], passages),
        "passage_id": np.tile([f"p{n}" for n in range(passages)], questions),
        "gold": gold.ravel(),
    }
    for name, lift, spread in (("teacher", 9, 5), ("before", 0.3, 1), ("after", 2.5, 1.5)):
        rows[name] = (lift * gold + draw.normal(0, spread, gold.shape)).astype(np.float32).ravel()
    return pandas.DataFrame(rows)


def made_training():
    draw = np.random.default_rng(2)
    steps = range(0, 200, 5)
    reader = [{"step": n, "loss": 3 * 0.98**n + 0.4 + 0.1 * draw.random()} for n in steps]
    rounds = [
        {"number": number, "student": [
            {"step": n, "loss": 1.5 * 0.99**n / number + 0.1 * draw.random(), "agreement": 0.8 - 0.5 * 0.98**n,
             "entropy": 2.2 * 0.995**n} for n in steps]}
        for number in (1, 2)
    ]  # fmt: skip
    return {"reader": reader, "rounds": rounds}


def make_run(folder):
    folder.mkdir(parents=True, exist_ok=True)
    samples = [{"title": "Paris", "text": "Paris is the capital of France.",
                "questions": [{"text": "what is the capital of france", "answer": "Paris"}]}]  # fmt: skip
    files = {"figures": made_figures(), "story": made_story(), "training": made_training(), "passages": samples}
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    made_distributions().to_parquet(folder / "distributions.parquet")
    return folder


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = make_run(tmp_path_factory.mktemp("run"))
    path = write_report(folder)
    assert path == folder / "report.html"
    assert not [other.name for other in folder.iterdir() if other.name.startswith(".")]  # nothing half-written
    return path.read_text(encoding="utf-8")


def body_of(html):
    return html[html.index("<body>") :]


def text_of(html):
    without = re.sub(r"<script.*?</script>|<style.*?</style>", "", html, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", without))


class Page(HTMLParser):
    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self, html):
        super().__init__()
        self.open, self.ids, self.links, self.sources, self.counts = [], [], [], [], {}
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []
        self.sources += [found["src"]] if "src" in found else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_asks_nobody_for_anything(report):
    seen = Page(report)
    assert seen.open == [] and len(seen.ids) == len(set(seen.ids))
    assert set(SECTIONS) <= set(seen.ids) and seen.links == [f"#{name}" for name in SECTIONS]
    assert seen.sources == [] and "link" not in seen.counts and "img" not in seen.counts
    assert report.count("plotly.js v") == 1  # inlined, and once
    assert "default-src 'none'" in report and "connect-src" not in report
    outside = re.sub(r"<script.*?</script>", "", report, flags=re.S)
    assert "http" not in outside.replace("http-equiv", "") and "@import" not in outside and "url(" not in outside
    assert seen.counts["figure"] == seen.counts["figcaption"] == body_of(report).count("Plotly.newPlot(") == 9
    assert "prefers-color-scheme:dark" in report and 'name="viewport"' in report


def test_every_number_of_the_run_is_told(report):
    text = text_of(body_of(report))
    for told in ("81.2%", "18.8%", "1.2%", "76.2%", "53.8%", "4.1 min", "4,321", "2,001", "142", "521", "1,234 MB"):
        assert told in text, told
    assert "recall at 1 of the taught student 49.0% BM25 50.0%, student before 41.0%" in text
    assert "Exact match is 80.0% with all passages (dashed line), 78.8% with a few passages by attention" in text
    assert "What attention keeps answers more questions than BM25" in text
    assert "Over 600 questions, the exact match of all is known to about ±3.1 points" in text


def test_pictures_hold_the_figures_of_the_run(report):
    drawn = re.findall(r'Plotly\.newPlot\(\s*"picture-([\w-]+)",\s*(\[.*?\]),\s*\{"', report, flags=re.S)
    assert [name for name, _ in drawn] == [
        "attention", "learned", "evidence", "distributions", "recall", "em-rounds", "em-kinds", "reader-loss",
        "student-loss",
    ]  # fmt: skip
    recall = next(content for name, content in drawn if name == "recall")
    assert '"name":"round 2"' in recall and '"name":"BM25"' in recall


def test_the_story_is_told_in_order_and_by_more_than_colour(report):
    text = text_of(body_of(report))
    parts = ("Found in the whole corpus", "The reader says: paris", "Attention as a score", "Where the reader looks")
    places = [text.index(part) for part in (*parts, "Learned from it")]
    assert places == sorted(places)
    assert (
        "BM25 has it at place 3; student before does not have it among these; student after has it at place 1" in text
    )
    assert "which is right by exact match" in text.replace(" ,", ",")
    assert "highest for passage 3, Paris, which is gold" in text
    assert "★" in text and "BM25 not found" in text


def test_a_story_without_gold_and_with_a_wrong_answer():
    story = made_story()
    for passage in story["passages"]:
        passage["gold"] = False
    text = text_of("".join(story_parts({**story, "said": "Lyon"})))
    assert "which is wrong by exact match" in text.replace(" ,", ",") and "None of these passages is gold" in text
    assert "which is not gold" in text


def test_what_the_files_say_is_escaped(tmp_path):
    folder = make_run(tmp_path)
    story = made_story() | {"question": NASTY, "said": NASTY, "answers": [NASTY]}
    for passage in story["passages"]:
        passage |= {"title": NASTY, "text": NASTY, "tokens": [NASTY] * len(passage["tokens"])}
    story["found"] = {name: [{**hit, "title": NASTY} for hit in row] for name, row in story["found"].items()}
    (folder / "story.json").write_text(json.dumps(story), encoding="utf-8")
    samples = [{"title": NASTY, "text": NASTY, "questions": [{"text": NASTY, "answer": NASTY}]}]
    (folder / "passages.json").write_text(json.dumps(samples), encoding="utf-8")
    html = write_report(folder).read_text(encoding="utf-8")
    assert "<b>Île" not in html and "</script><b" not in html
    assert Page(html).open == []


def test_the_same_files_make_the_same_report(report, tmp_path):
    assert write_report(make_run(tmp_path)).read_text(encoding="utf-8") == report


def break_file(folder, name, change):
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "story.json").unlink(), "story.json: wanted a file that `kit quickstart` leaves, given no"),
        (lambda f: (f / "training.json").write_text("{"), "training.json: wanted JSON, given a file that does not"),
        (lambda f: break_file(f, "figures.json", lambda c: c["reader"].pop("before")),
         "figures.json: wanted 'before' in reader (path reader.before), given nothing"),
        (lambda f: break_file(f, "figures.json", lambda c: c.update(rounds=[])),
         "figures.json: wanted a list in rounds (path rounds[].number), given an empty list"),
        (lambda f: break_file(f, "story.json", lambda c: c["passages"][1].pop("tokens")),
         "story.json: wanted 'tokens' in passages[1] (path passages[].tokens), given nothing"),
        (lambda f: (f / "distributions.parquet").write_bytes(b"no"), "distributions.parquet: wanted a Parquet file"),
        (lambda f: made_distributions().drop(columns="teacher").to_parquet(f / "distributions.parquet"),
         "given no teacher"),
        (lambda f: made_distributions().assign(after=np.nan).to_parquet(f / "distributions.parquet"),
         "distributions.parquet: wanted a score in every row of 'after', given none in 400 rows"),
        (lambda f: break_file(f, "figures.json", lambda c: c["evidence"].update(all=80)),
         "evidence_bars, 'all': wanted a share from 0 to 1, given 80"),
    ],
)  # fmt: skip
def test_a_broken_run_is_named_and_leaves_no_report(tmp_path, damage, message):
    folder = make_run(tmp_path)
    damage(folder)
    with pytest.raises(KitError, match=re.escape(message)):
        write_report(folder)
    assert not [path.name for path in folder.iterdir() if "report" in path.name]


def test_paths_of_lists_at_the_top():
    require("f", [{"a": 1}], ["[].a"])
    with pytest.raises(KitError, match=re.escape("f: wanted a list in the file (path [].a), given dict")):
        require("f", {}, ["[].a"])


def test_gold_above_equals_a_slow_loop():
    draw = np.random.default_rng(3)
    scores, gold = draw.integers(0, 4, 60).astype(float), draw.random(60) < 0.3
    questions = np.repeat([f"q{n}" for n in range(10)], 6)
    pairs, firsts = [], []
    for name in sorted(set(questions)):
        cells = [(s, g) for s, g, q in zip(scores, gold, questions, strict=True) if q == name]
        mine, other = [s for s, g in cells if g], [s for s, g in cells if not g]
        if mine and other:
            wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a in mine for b in other]
            pairs.append(sum(wins) / len(wins))
            firsts.append(max(mine) > max(other))
    assert gold_above(scores, gold, questions) == pytest.approx((np.mean(pairs), np.mean(firsts)))
    shift = np.repeat(draw.normal(size=10), 6) * 0.1  # a shift of all of a question's scores changes nothing
    assert gold_above(scores + shift, gold, questions) == pytest.approx((np.mean(pairs), np.mean(firsts)))
    assert all(np.isnan(gold_above([1.0], [True], ["q"])))


def test_softmax_takes_large_scores():
    assert softmax([1000.0, 1000.0 - np.log(3)]).tolist() == pytest.approx([0.75, 0.25])
