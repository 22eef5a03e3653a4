"""The toy encyclopaedia: sizes, splits, true statements, lengths, and exercises that can be read and not remembered."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from kit.metrics import has_answer
from kit.reader import FiDReader
from kit.toy.counterfactual import counterfactual_questions, make_exercise
from kit.toy.facts import load_kinds
from kit.toy.names import make_pools
from kit.toy.vocabulary import bert_tokenizer, t5_tokenizer, vocabulary, words_of
from kit.toy.world import SPLITS, ToyWorld, build_world
from kit.types import KitError


@pytest.fixture(scope="module")
def whole() -> ToyWorld:
    return build_world()


def test_it_is_as_large_as_promised(whole):
    kinds = load_kinds()
    assert len(kinds) >= 5 and sum(len(kind.relations) for kind in kinds.values()) >= 20
    assert sum(entity.real for entity in whole.entities.values()) >= 400
    assert len(whole.passages) >= 5000 and sum(map(len, whole.questions.values())) >= 10_000


def test_passages_are_short_and_name_others(whole):
    lengths = [len(passage.text.split()) for passage in whole.passages.values()]
    assert min(lengths) >= 25 and max(lengths) <= 60
    assert Counter(len(source.facts) for source in whole.sources.values()).keys() >= {1, 2, 3}


def test_no_entity_is_asked_about_in_two_splits(whole):
    asked = {split: {whole.asks[q.id][0] for q in questions} for split, questions in whole.questions.items()}
    assert not asked["train"] & asked["test"] and not asked["dev"] & (asked["train"] | asked["test"])
    shares = {split: len(items) / len(whole.entities) for split, items in asked.items()}
    assert all(abs(shares[split] - SPLITS[split]) < 0.02 for split in SPLITS)


def test_every_question_has_a_passage_that_states_its_answer(whole):
    for questions in whole.questions.values():
        for question in questions:
            entity, relation = whole.asks[question.id]
            assert question.answers == (whole.entities[entity].facts[relation],)
            assert whole.entities[entity].name in question.text
            for name in whole.gold[question.id]:
                assert has_answer(whole.passages[name].text, question.answers)


def test_a_passage_states_what_its_source_says_and_no_other_value_of_its_entity(whole):
    """A value stands in the passage only if its fact is stated, or another stated fact has the same value."""
    for name, source in list(whole.sources.items())[:2000]:
        text, entity = whole.passages[name].text, whole.entities[source.entity]
        stated = {whole.entities[i].facts[relation].lower() for i, relation in source.facts + source.lookalikes}
        for relation, value in entity.facts.items():
            if (entity.id, relation) not in source.facts and not any(value.lower() in other for other in stated):
                named = value.lower() in entity.name.lower() or not re.fullmatch(r"[A-Z][a-z]+|\d{3,}", value)
                assert named or not re.search(rf"\b{re.escape(value)}\b", text), (name, relation, value, text)


def test_the_same_seed_is_the_same_world_and_another_is_not():
    world, again, other = (build_world(seed, generated=50) for seed in (0, 0, 1))
    assert again == world
    assert [q.text for q in other.questions["test"]] != [q.text for q in world.questions["test"]]


def test_a_fact_may_stand_once_and_under_another_title():
    world = build_world(generated=100, facts_once=True, in_passing=0.4)
    stated = Counter(fact for source in world.sources.values() for fact in source.facts + source.lookalikes)
    facts = {(entity.id, name) for entity in world.entities.values() for name in entity.facts}
    assert stated == dict.fromkeys(facts, 1)
    moved = [source for source in world.sources.values() if source.lookalikes]
    assert 0.2 < sum(len(source.lookalikes) for source in moved) / len(facts) < 0.4
    for source in moved:
        assert {name for _, name in source.lookalikes} <= {name for _, name in source.facts}
    for question in world.questions["test"][:500]:
        (gold,) = world.gold[question.id]
        assert has_answer(world.passages[gold].text, question.answers)
    assert all(25 <= len(passage.text.split()) <= 60 for passage in world.passages.values())
    with pytest.raises(KitError, match=r"build_world, in_passing: wanted a share from 0 to 1, given 2"):
        build_world(generated=0, facts_once=True, in_passing=2)


def test_questions_may_be_worded_as_people_type_them():
    written, typed = build_world(generated=20), build_world(generated=20, wordings="typed")
    assert typed.passages == written.passages and len(typed.questions["test"]) == len(written.questions["test"])
    lengths = [
        sum(len(question.text.split()) for question in world.questions["test"]) / len(world.questions["test"])
        for world in (written, typed)
    ]
    assert lengths[1] < 0.85 * lengths[0]
    assert any(not question.text.endswith(("?", ".")) for question in typed.questions["test"])
    both = {question.text for question in build_world(generated=20, wordings="both").questions["train"]}
    for world in (written, typed):
        assert both & {question.text for question in world.questions["train"]}
    with pytest.raises(KitError, match="build_world, wordings: wanted one of written, typed, both, given 'short'"):
        build_world(generated=0, wordings="short")


@pytest.mark.parametrize("kind", load_kinds().values(), ids=lambda kind: kind.name)
def test_templates_have_their_slots(kind):
    for relation in kind.relations.values():
        assert len(relation.statements) >= 5 and len(relation.questions) >= 5
        assert all(text.count("{name}") == 1 and text.count("{value}") == 1 for text in relation.statements)
        assert all("{name}" not in text and text.count("{value}") == 1 for text in relation.pronoun)
        assert all(text.count("{name}") == 1 and "{value}" not in text for text in relation.questions + relation.typed)
        assert len(set(relation.typed) - set(relation.questions)) == 8
        assert {word for text in relation.typed for word in words_of(text.format(name=""))} <= set(vocabulary())
    assert all(text.count("{name}") == text.count("{other}") == 1 for text in kind.mentions)


def test_no_fact_gives_its_answer_away_and_names_are_unique():
    names = [name for kind in load_kinds().values() for name, _ in kind.rows]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    for kind in load_kinds().values():
        for name, facts in kind.rows:
            assert not any(set(words_of(value)) >= set(words_of(name)) for value in facts.values()), name


FACTS = [
    ("country", "France", "capital", "Paris"),
    ("country", "Japan", "currency", "yen"),
    ("country", "Kenya", "continent", "Africa"),
    ("element", "iron", "symbol", "Fe"),
    ("element", "gold", "number", "79"),
    ("writer", "Leo Tolstoy", "birth_year", "1828"),
    ("painter", "Claude Monet", "birth_year", "1840"),
    ("composer", "Giuseppe Verdi", "birth_year", "1813"),
    ("scientist", "Charles Darwin", "birth_year", "1809"),
    ("river", "Danube", "mouth", "Black Sea"),
    ("moon", "Titan", "planet", "Saturn"),
    ("invention", "phonograph", "inventor", "Thomas Edison"),
    ("mountain", "Mount Everest", "ascent_year", "1953"),
]


@pytest.mark.parametrize(("kind", "name", "relation", "value"), FACTS)
def test_well_known_facts(kind, name, relation, value):
    assert dict(load_kinds()[kind].rows)[name][relation] == value


def test_exercises_differ_and_only_gold_passages_state_the_answer():
    kinds, pools, rng = load_kinds(), make_pools(), random.Random(3)
    exercises = [make_exercise(kinds, pools, rng, passages=6) for _ in range(200)]
    assert len({exercise.answer for exercise in exercises}) > 100
    for exercise in exercises:
        assert sum(exercise.gold) == 1
        gold = exercise.passages[exercise.gold.index(True)]
        assert has_answer(gold.text, [exercise.answer])
        assert exercise.prompt.startswith(("fill: ", "question: "))


def test_counterfactual_questions_have_answers_in_the_right_passages_only():
    questions, right, wrong = counterfactual_questions(60)
    hits = [
        [any(has_answer(p.text, q.answers) for p in row) for q, row in zip(questions, rows, strict=True)]
        for rows in (right, wrong)
    ]
    assert all(hits[0]) and sum(hits[1]) <= 12  # continents and the like stand in other passages too


def test_tokenizers_know_the_toys_words_and_spell_others():
    t5, bert = t5_tokenizer(), bert_tokenizer()
    assert len(vocabulary()) == len(set(vocabulary()))
    assert t5("Paris").input_ids == [t5.convert_tokens_to_ids("paris"), 1] and t5.pad_token_id == 0
    spelled = t5("Zyxland", add_special_tokens=False).input_ids
    assert len(spelled) == 7 and t5.decode(spelled) == "zyxland" and t5.unk_token_id not in spelled
    for answer in ("Port-au-Prince", "Gulliver's Travels"):
        for tokenizer in (t5, FiDReader.from_pretrained("toy-t5", device="cpu").tokenizer):
            assert tokenizer.decode(tokenizer(answer).input_ids, skip_special_tokens=True) == answer.lower()
    assert bert.convert_ids_to_tokens(bert("the Nile").input_ids) == ["[CLS]", "the", "nile", "[SEP]"]


def test_every_word_of_the_world_is_one_token(whole):
    known = set(vocabulary())
    unknown = {word for passage in whole.passages.values() for word in words_of(passage.text)} - known
    assert unknown == set()
