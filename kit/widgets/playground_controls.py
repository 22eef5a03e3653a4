"""The playground's controls and where they stand. Every one has a label and takes Tab; none does anything by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets

from kit.plots.style import LABEL
from kit.types import Passage, Question
from kit.widgets.explorer import LABEL_WIDTH, labelled_choice, labelled_slider
from kit.widgets.passage_list import how_changed
from kit.widgets.reading_desk import Desk

MOST = 20  # passages on the slider, unless more are asked for
LISTED = 500  # questions in the list: more would cost the page
ADDABLE = 30  # found passages in the list of what can be added
OWN_WORDS = "\0own"  # the choice that is not a passage's id
TYPED = ""  # the choice that is not a question of the list
WIDE = {"width": "auto", "max_width": "60em"}


def make_controls(questions: Sequence[Question], retrievers: Sequence[str], k: int) -> dict[str, Any]:
    """The controls by name."""
    style = {"description_width": LABEL_WIDTH}
    wide = {"style": style, "layout": WIDE}
    controls: dict[str, Any] = {}
    if questions:
        texts = dict.fromkeys(question.text for question in questions[:LISTED])
        options = [("(typed below)", TYPED), *((text, text) for text in texts)]
        controls["question"] = ipywidgets.Dropdown(options=options, description="pick a question", **wide)
    hint = "type a question and press Enter"
    controls["text"] = ipywidgets.Text(description="question", placeholder=hint, continuous_update=False, **wide)
    controls["k"] = labelled_slider("passages found", 1, max(MOST, k), 1, k)
    controls["read_from"] = labelled_choice("read those of", retrievers)
    controls["at_once"] = ipywidgets.Checkbox(value=True, description="read after every change", indent=False)
    controls["at_once"].layout.width = "auto"
    hint = "one more decoder pass for each passage: switch it off where reading takes long"
    controls["leave_one_out"] = ipywidgets.Checkbox(
        value=True, description="leave-one-out", tooltip=hint, indent=False, layout={"width": "auto"}
    )
    controls["passage"] = labelled_choice("passage", [("none", None)])
    controls["passage"].layout.max_width = WIDE["max_width"]
    controls["title"] = ipywidgets.Text(description="title", **wide)
    controls["passage_text"] = ipywidgets.Textarea(description="text", rows=4, **wide)
    controls["more"] = labelled_choice("add", [("a passage with the title and text above", OWN_WORDS)])
    buttons = {
        "read": ("Read", "Read the passages as they are now"),
        "as_found": ("As found", "Back to the passages as they were found"),
        "apply": ("Apply edit", "Give the chosen passage the title and text above"),
        "up": ("Up", "Read the chosen passage one place earlier"),
        "down": ("Down", "Read the chosen passage one place later"),
        "drop": ("Drop", "Take the chosen passage from the list"),
        "add": ("Add", "Put one more passage at the end of the list"),
    }
    for name, (label, told) in buttons.items():
        controls[name] = ipywidgets.Button(description=label, tooltip=told, layout={"width": "auto"})
    controls["read"].button_style = "primary"
    return controls


def arranged(
    controls: Mapping[str, Any], told: Mapping[str, ipywidgets.Widget], picture: ipywidgets.Widget
) -> list[ipywidgets.Widget]:
    """The controls and views from top to bottom: ask, found, read, change."""
    row = {"flex_flow": "row wrap", "align_items": "center", "width": "100%"}

    def line(*names: str) -> ipywidgets.HBox:
        return ipywidgets.HBox([controls[name] for name in names], layout=row)

    asking = [controls[name] for name in ("question", "text", "k") if name in controls]
    return [
        *asking,
        told["found"],
        _heading("Read"),
        line("read_from", "as_found", "read", "at_once", "leave_one_out"),
        told["status"],
        told["answer"],
        picture,
        told["truth"],
        told["numbers"],
        _heading("Change what is read"),
        controls["passage"],
        controls["title"],
        controls["passage_text"],
        line("apply", "up", "down", "drop"),
        line("more", "add"),
    ]


def listed(number: int, passage: Passage, letter: str, star: bool, corpus: Mapping[str, Passage]) -> str:
    """A passage as one line of a list: its place, letter, star, title, and what has become of it."""
    changed = how_changed(passage, corpus)
    title = passage.title or passage.id
    return f"{number}. {letter} {'★ ' if star else ''}{title}{f' ({changed})' if changed else ''}"


def add_options(desk: Desk, corpus: Mapping[str, Passage], letters: Mapping[str, str]) -> list[tuple[str, str]]:
    """What can be added: a passage of one's own, and the first 30 that were found and are not on the list."""
    there = {passage.id for passage in desk.passages}
    options = [("a passage with the title and text above", OWN_WORDS)]
    others = [passage_id for passage_id in letters if passage_id in corpus and passage_id not in there]
    for passage_id in others[:ADDABLE]:
        passage = corpus[passage_id]
        text = passage.text if len(passage.text) <= 3 * LABEL else passage.text[: 3 * LABEL] + "…"
        options.append((f"{letters[passage_id]} {passage.title or passage.id}: {text}", passage_id))
    return options


def _heading(text: str) -> ipywidgets.HTML:
    return ipywidgets.HTML(f'<h4 style="margin:.8em 0 .2em">{text}</h4>')
