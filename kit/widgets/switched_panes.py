"""Precomputed states of an explorer on a page without script: groups of radio buttons choose which panes are seen.

Pure: text and HTML in, HTML out. The radio buttons take Tab and arrow keys by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

from kit.types import KitError


def switched_panes(
    name: str,
    groups: Mapping[str, Sequence[str]],
    panes: Sequence[tuple[Sequence[int | None], str]],
    chosen: Sequence[int] = (),
) -> str:
    """HTML with a group of radio buttons for each of `groups` (label: options) and the panes that they switch.

    A pane is (one number of an option for each group, HTML); None is any option. `name` differs for each set of a page,
    `chosen` are the options that are on at first. Where a browser lacks CSS's `:has` all panes are seen.

    >>> html = switched_panes("a", {"size": ["S", "L"]}, [([0], "small"), ([1], "large"), ([None], "any")])
    >>> html.count("radio"), html.count("checked>"), '<div class="a-1">large</div>' in html
    (2, 1, True)
    """
    chosen = tuple(chosen) or (0,) * len(groups)
    sizes = [len(options) for options in groups.values()]
    for key in [chosen, *(key for key, _ in panes)]:
        fits = len(key) == len(sizes) and all(n is None or 0 <= n < size for n, size in zip(key, sizes, strict=True))
        if not fits:
            raise KitError("switched_panes", f"a number below each of {sizes}", tuple(key))
    keys = dict.fromkeys(tuple(key) for key, _ in panes)
    rules = "".join(_rule(name, key) for key in keys if any(n is not None for n in key))
    fields = "".join(_group(name, n, label, options, chosen[n]) for n, (label, options) in enumerate(groups.items()))
    shown = "".join(
        f'<div class="{_class(name, key)}">{_own_ids(html, f"{name}{number}")}</div>'
        for number, (key, html) in enumerate(panes)
    )
    style = (
        f".{name} fieldset{{border:1px solid;border-radius:.4em;margin:.4em 0;padding:.2em .8em}}"
        f".{name} label{{display:inline-block;margin:.1em .9em .1em 0}}@supports selector(:has(a)){{{rules}}}"
    )
    return f'<div class="{name}"><style>{style}</style>{fields}{shown}</div>'


def _group(name: str, number: int, label: str, options: Sequence[str], chosen: int) -> str:
    def button(option: int, text: str) -> str:
        on = " checked" if option == chosen else ""
        identity = f"{name}-{number}-{option}"
        return (
            f'<label for="{identity}"><input type="radio" name="{name}-{number}" id="{identity}"{on}> '
            f"{escape(text)}</label>"
        )

    buttons = "".join(button(option, text) for option, text in enumerate(options))
    return f"<fieldset><legend>{escape(label)}</legend>{buttons}</fieldset>"


def _own_ids(html: str, mark: str) -> str:
    """The ids of a pane's pictures made its own: a pattern that two panes share would vanish with one of them."""
    return re.sub(r'(\bid="|url\(#)', rf"\1{mark}-", html)


def _class(name: str, key: Sequence[int | None]) -> str:
    return "-".join([name, *("x" if option is None else str(option) for option in key)])


def _rule(name: str, key: Sequence[int | None]) -> str:
    """A pane is hidden as soon as one of its options is off."""
    off = (
        f".{name}:not(:has(#{name}-{group}-{option}:checked)) .{_class(name, key)}"
        for group, option in enumerate(key)
        if option is not None
    )
    return f"{','.join(off)}{{display:none}}"
