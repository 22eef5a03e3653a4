"""The report of a made-up run: what stands in it, that it asks nobody for anything, and what it says of broken files."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas
import pytest

from kit.report import SECTIONS, write_report
from kit.report_files import require
from kit.report_results import gold_above
from kit.report_story import softmax, story_parts
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
            "em": {"all": 0.8125, "one fact": 0.9, "several facts": 0.7, "right entity only": 0.85, "with look-alikes": 0.6,
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
        tokens = f"question : what is the capital of france ? title : {title.lower()} context : in {title.lower()} , the capital is paris .".split()
        weights = draw.dirichlet(np.full(len(tokens), 0.3)) * (0.55 if number == 2 else 0.05)
        passages.append(
            {"id": f"p{number}", "title": title, "text": f"In {title}, the capital is Paris. The sea is near it, and a river.",
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
    steps = [n for n in range(0, 200, 5)]
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
