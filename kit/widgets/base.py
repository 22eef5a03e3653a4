"""What every explorer is: one anywidget with a state, data and controls, that can be exported as a page that lives.

How an explorer is made:

1. Python computes, the page draws. Subclass `Explorer`, name the JavaScript modules after the base's own:

       class Counter(Explorer):
           modules = ("counter.js",)

           def __init__(self, heights):
               super().__init__("Bars", [Number("bars", "bars", 1, 9, 1, 2)], {"heights": np.float32(heights)})

           def summary(self):   # a table where no script runs
               return "bars", ["number"], [[str(self.state["bars"])]]

2. js/counter.js makes its panels once and returns what draws a state in them. Imports are of modules of ours, names at
   a module's top level differ across modules (they are joined into one), `export default` stands on the last line:

       import { explorer } from "./explorer.js";
       function build(app) {
         const bars = app.panel("bars");
         return (state) => bars.show({ title: "Bars", figure: barsOf(app.data.heights.subarray(0, state.bars)) });
       }
       export default explorer(build);

   `app.panel(name, { wide, onClick, element, svg, kind })`: a chart, a table or an element of your own, each saved as
   PNG, SVG, CSV. `app.store.set({...})` changes the state, `app.say([lines])` tells what must be said, `app.controls`
   holds the controls' elements, `await app.ask(name, request)` asks `answer(name, request)` in Python for more,
   `addTour(app, steps)` of tour.js adds a guided tour.
3. What a page needs at once comes by `answer_beforehand`, what an exported page may ask by `exported_requests`.
   Colours come from chart.js and explorer.css.

Works with ipywidgets 7.7 and later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import traitlets

from kit.files import written_aside
from kit.pages.figures import plotly_bundle
from kit.pages.tables import table_html
from kit.types import KitError
from kit.widgets.controls import Control, declared
from kit.widgets.packed import packed
from kit.widgets.page import document

JS = Path(__file__).parent / "js"
BASE = ("dom.js", "store.js", "controls.js", "table.js", "chart.js", "panel.js", "explorer.js")


@cache
def bundle(modules: tuple[str, ...]) -> str:
    """The base's JavaScript modules and these, joined into one module: its imports and exports of ours taken out."""
    sources = [(JS / name).read_text(encoding="utf-8") for name in dict.fromkeys([*BASE, *modules])]
    joined = "\n".join(re.sub(r"^import \{[^}]*\} from \"\./[\w.]+\";\n", "", one, flags=re.M) for one in sources)
    return re.sub(r"^export (?!default)", "", joined, flags=re.M)


class Explorer(anywidget.AnyWidget):
    """A titled view of data with controls. `state` is a dict of every control's value, `set(name=value)` changes it."""

    modules: ClassVar[tuple[str, ...]] = ()
    plotly: ClassVar[bool] = True  # whether an exported page holds plotly.js, for charts
    _css = (JS / "explorer.css").read_text(encoding="utf-8")
    state = traitlets.Dict().tag(sync=True)
    _title = traitlets.Unicode().tag(sync=True)
    _controls = traitlets.List().tag(sync=True)
    _data = traitlets.Bytes().tag(sync=True)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "modules" not in cls.__dict__:  # anywidget makes a class of each widget's own to add traits
            return
        cls._esm = bundle(cls.modules)
        own = [JS / name.replace(".js", ".css") for name in cls.modules]
        cls._css = Explorer._css + "".join(path.read_text(encoding="utf-8") for path in own if path.exists())

    def __init__(self, title: str, controls: Sequence[Control], data: Mapping[str, Any]) -> None:
        self.parts = {control.name: control for control in controls}
        self._facts, self._beforehand = data, []
        super().__init__(
            _title=title, _controls=[declared(one, one.value) for one in controls], _data=packed(data),
            state={one.name: one.value for one in controls},
        )  # fmt: skip
        self.on_msg(self._receive)

    @traitlets.validate("state")
    def _checked_state(self, proposal: dict[str, Any]) -> dict[str, Any]:
        return {**self.state, **{name: self._part(name).checked(one) for name, one in proposal["value"].items()}}

    def _part(self, name: str) -> Control:
        if name not in self.parts:
            raise KitError(f"{type(self).__name__}.set", f"one of {', '.join(self.parts)}", repr(name))
        return self.parts[name]

    def set(self, **changes: Any) -> None:
        """Change parts of the state by name; the page follows. `KitError` if a value does not fit; nothing changes."""
        self.state = changes

    def summary(self) -> tuple[str, Sequence[str], Iterable[Sequence[str]]]:
        """The present state as a table of texts, (caption, header, rows), for places where no script runs."""
        raise NotImplementedError

    def answer(self, name: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a page that asked gets; an explorer that computes while it is used overrides this."""
        raise KitError(type(self).__name__, "a question that it answers", repr(name))

    def answer_beforehand(self, requests: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Give the page these answers with its data: a first view need not wait for a kernel that is busy."""
        self._beforehand = list(requests)
        answers = [[name, request, self.answer(name, request)] for name, request in self._beforehand]
        self._data = packed({**self._facts, "answers": answers})

    def exported_requests(self) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """What an exported page may ask, as (name, request): answered beforehand."""
        return ()

    def exported_controls(self, requests: Iterable[tuple[str, Mapping[str, Any]]]) -> Sequence[Control]:
        """The controls of an exported page that may ask these."""
        return list(self.parts.values())

    def export_html(self, path: str | Path) -> Path:
        """Write the explorer as one page that needs no kernel and fetches nothing; returns the page's path.

        All that needs no model stays alive. The state is in the page's address: a finding can be sent as a link.
        """
        path = Path(path)
        if path.is_dir() or path.suffix.lower() not in (".html", ".htm"):
            raise KitError("export_html", "the path of an .html file", repr(str(path)))
        with written_aside(path) as aside:
            aside.write_text(self.to_html(), encoding="utf-8")
        return path

    def to_html(self) -> str:
        """The page that `export_html` writes."""
        requests = list(self.exported_requests())
        traits = {
            "state": dict(self.state), "_title": self._title, "_data": self._data,
            "_controls": [declared(one, self.state[one.name]) for one in self.exported_controls(requests)],
        }  # fmt: skip
        asked = [one for one in requests if one not in self._beforehand]
        answers = [(name, request, packed(self.answer(name, request))) for name, request in asked]
        table = table_html(*self.summary())
        return document(self._title, self._esm, self._css, traits, answers, table, plotly=self.plotly)

    def _receive(self, _: Any, message: dict[str, Any], buffers: Sequence[bytes]) -> None:
        kind = message.get("kind")
        if kind == "plotly":
            self.send({"kind": "plotly"}, [plotly_bundle()])
        elif kind == "page":
            name = f"{type(self).__name__}.html"
            self.send({"kind": "page", "name": name}, [self.to_html().encode()])
        elif kind == "ask":
            try:
                found = packed(self.answer(message["name"], message["request"]))
                self.send({"kind": "answer", "id": message["id"]}, [found])
            except KitError as error:
                self.send({"kind": "answer", "id": message["id"], "error": str(error)})

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        if bundle is None:
            return None
        shown, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        html = f"<h3>{escape(self._title)}</h3>{table_html(*self.summary())}"
        return {**shown, "text/html": html, "text/plain": f"{type(self).__name__}: {self._title}"}, metadata
