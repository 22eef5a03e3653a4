"""The toy T5's pre-training: gaps that only reading fills, Muon's steps, a run that goes on where it stopped."""

from __future__ import annotations

import random
import re
from functools import partial

import pytest
import t5
import torch
from muon import Muon
from t5 import Run
from t5_exercises import GAP, LEVELS, Exercises

from kit.metrics import has_answer
from kit.toy.facts import load_kinds
from kit.toy.vocabulary import vocabulary


@pytest.fixture(scope="module")
def exercises():
    return Exercises(vocabulary())


@pytest.mark.parametrize("level", LEVELS)
def test_prompts_have_a_gap_and_are_no_questions(exercises, level):
    rng = random.Random(1)
    for exercise in [exercises.make(level, rng, 4) for _ in range(100)]:
        assert exercise.prompt.startswith("fill: ") and exercise.prompt.count(GAP) == 1 and "?" not in exercise.prompt
        assert len(exercise.passages) == 4 and 1 <= sum(exercise.gold) <= 2
        texts = [
            f"{passage.title} {passage.text}"
            for passage, gold in zip(exercise.passages, exercise.gold, strict=True)
            if gold
        ]
        assert all(has_answer(text, [exercise.answer]) for text in texts)


def test_no_question_of_the_templates_is_in_an_exercise(exercises):
    questions = {text for kind in load_kinds().values() for each in kind.relations.values() for text in each.questions}
    starts = {text.split("{name}")[0] for text in questions if len(text.split("{name}")[0].split()) > 2}
    rng = random.Random(2)
    for exercise in [exercises.make("passages", rng, 4) for _ in range(100)]:
        texts = [exercise.prompt, *(passage.text for passage in exercise.passages)]
        assert not any(start in text for start in starts for text in texts)


def test_answers_stand_under_other_titles_too_and_their_words_in_other_passages(exercises):
    rng, titles, elsewhere, names = random.Random(3), 0, 0, 0
    drawn = [exercises.make("facts", rng, 8) for _ in range(150)]
    for exercise in drawn:
        for passage, gold in zip(exercise.passages, exercise.gold, strict=True):
            named = passage.title in exercise.prompt
            titles += gold and not named
            elsewhere += not gold and bool(re.search(rf"\b{re.escape(exercise.answer)}\b", passage.text))
            names += not gold and named
    golds = sum(sum(exercise.gold) for exercise in drawn)
    assert 0.2 < titles / golds < 0.4 and elsewhere > 50 and names > 150


def test_in_a_pair_only_the_name_in_its_own_sentence_tells_whose_a_value_is(exercises):
    rng, titles, checked = random.Random(4), 0, 0
    for exercise in [exercises.make("pairs", rng, 1) for _ in range(150)]:
        (passage,) = exercise.passages
        sentences = re.split(r"(?<=\.) (?=[A-Z])", passage.text)
        own = [text for text in sentences if re.search(rf"\b{re.escape(exercise.answer)}\b", text)]
        if len(sentences) == 2 and len(own) == 1 and exercise.prompt.count(passage.title) < 2:
            assert (passage.title in own[0]) == (passage.title in exercise.prompt), (exercise.prompt, passage)
            titles += passage.title in exercise.prompt
            checked += 1
    assert checked > 90 and 0.35 < titles / checked < 0.65


def test_muons_steps_are_orthogonal_and_as_large_as_adamws():
    torch.manual_seed(0)
    matrices = [torch.randn(48, 16), torch.randn(16, 48), torch.randn(48, 16)]
    before = [matrix.clone() for matrix in matrices]
    for matrix in matrices:
        matrix.grad = torch.randn_like(matrix)
    Muon(matrices, weight_decay=0.0).step(0.01)
    for matrix, start in zip(matrices, before, strict=True):
        values = torch.linalg.svdvals((start - matrix) / (0.01 * 0.2 * 48**0.5))
        assert values.min() > 0.6 and values.max() < 1.3
        assert (start - matrix).flatten() @ matrix.grad.flatten() > 0


def test_a_stopped_run_goes_on_as_if_it_had_not(exercises, tmp_path, monkeypatch):
    monkeypatch.setattr(t5, "BATCH", dict.fromkeys(LEVELS, 16))
    monkeypatch.setattr(t5, "initial_t5", partial(t5.initial_t5, d_model=32, layers=1))
    whole = Run(tmp_path / "whole", seed=1)
    assert whole.learn(exercises)[0] == "recall"
    stopped = Run(tmp_path / "stopped", seed=1)
    stopped.learn(exercises)
    stopped.level = whole.level = LEVELS.index("statements")
    stopped.save()
    again = Run(tmp_path / "stopped", seed=1)
    assert (again.step, again.level) == (1, 1)
    assert again.learn(exercises) == whole.learn(exercises)
    for left, right in zip(again.reader.t5.parameters(), whole.reader.t5.parameters(), strict=True):
        torch.testing.assert_close(left, right)
    for left, right in zip(again.averaged().t5.parameters(), whole.averaged().t5.parameters(), strict=True):
        torch.testing.assert_close(left, right)
    again.write(tmp_path / "half")
    begun = Run(tmp_path / "begun", seed=1, start=tmp_path / "half")
    assert (begun.step, begun.level) == (2, 1)
    weights = zip(begun.reader.t5.parameters(), again.average, strict=True)
    assert all(torch.allclose(left, right, rtol=2e-3, atol=1e-4) for left, right in weights)
