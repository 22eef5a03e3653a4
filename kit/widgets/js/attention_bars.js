// The passages as bars: one row a passage with its rank and score, where in it the reader looks, ranks by other tables.

import { boundsOf, ranksOf, shadeOf } from "./attention_numbers.js";
import { onKeys, scoreText, spanOf } from "./attention_views.js";
import { make, range } from "./dom.js";

const STRIP = 32; // parts of the strip that shows where in its passage the reader looks
const MANY_PASSAGES = 20; // more get a box that filters them

export function passageBars(app) {
  const list = make("div", { class: "at-list", role: "listbox", tabindex: 0, "aria-label": "Passages; arrow keys choose" });
  const filter = make("input", { type: "search", placeholder: "filter", "aria-label": "filter passages", input: () => hide() });
  const heads = make("div", { class: "at-row at-heads", "aria-hidden": "true" });
  const note = make("p", { class: "at-note" });
  const scroll = make("div", { class: "at-scroll" }, list);
  const element = make("div", { class: "at-bars" }, filter, heads, scroll, note);
  let [now, shown, rows] = [null, null, []]; // what is drawn: a question, a view, an order
  const choose = (place) => app.store.set({ passage: now.held.passages[now.order[place]].id });
  const go = (to) => () => choose(Math.min(now.order.length - 1, Math.max(0, to(now.order.indexOf(now.passage)))));
  onKeys(list, {
    ArrowUp: go((at) => at - 1), ArrowDown: go((at) => at + 1), Home: go(() => 0), End: go(() => Infinity),
    PageUp: go((at) => at - 10), PageDown: go((at) => at + 10),
  }); // prettier-ignore
  const hide = () => {
    const words = filter.value.toLowerCase();
    rows.forEach(({ row, title }) => (row.hidden = !title.toLowerCase().includes(words)));
  };
  const show = (next) => {
    const fresh = shown !== next.request;
    [now, shown] = [next, next.request];
    if (fresh) {
      const names = now.held.others.map(({ name }) => make("span", { class: "number", title: `rank by ${name}` }, name));
      heads.replaceChildren(...["", "passage", "score", "where"].map((name) => make("span", {}, name)), ...names);
      element.style.setProperty("--others", names.length);
      const lines = barLines(now);
      rows = now.order.map((number, place) => barRow(now, lines[number], number, () => choose(place)));
      list.replaceChildren(...rows.map(({ row }) => row));
      filter.hidden = rows.length <= MANY_PASSAGES;
      hide();
    }
    rows.forEach(({ row, number }) => row.setAttribute("aria-selected", String(number === now.passage)));
    const chosen = rows[now.order.indexOf(now.passage)].row;
    list.setAttribute("aria-activedescendant", chosen.id);
    const [above, below] = [chosen.offsetTop - scroll.scrollTop, chosen.offsetTop + chosen.offsetHeight - scroll.scrollTop];
    if (above < 0 || below > scroll.clientHeight) scroll.scrollTop = chosen.offsetTop - scroll.clientHeight / 3;
    const start = now.view.request.kind === "logits" ? "Logits have no zero: bars begin at the lowest. " : "";
    note.textContent = `${start}★ and stripes: gold, it states the answer. ▲▼: places that the reader moves it.`;
  };
  return { element, show };
}

// Texts and lengths of the rows, in the order in which the passages were read.
function barLines({ held, view }) {
  const [low, high] = spanOf(view.row, view);
  const ranks = ranksOf(view.row);
  const others = held.others.map(({ values }) => ranksOf(values));
  return held.passages.map((passage, number) => ({
    rank: ranks[number], score: scoreText(view.row[number], view), share: (view.row[number] - low) / (high - low || 1),
    others: others.map((other) => [other[number], other[number] && ranks[number] ? other[number] - ranks[number] : 0]),
  })); // prettier-ignore
}

let passageRows = 0;

function barRow({ held, view }, line, number, click) {
  const passage = held.passages[number];
  const arrow = (moved) => (moved ? ` ${moved > 0 ? "▲" : "▼"}${Math.abs(moved)}` : "");
  const fill = make("i", { class: passage.gold ? "kit-fill gold" : "kit-fill" });
  fill.style.setProperty("--share", Number.isFinite(line.share) ? line.share : 0);
  const cells = line.others.map(([rank, moved]) => make("span", { class: "number" }, rank || "–", make("small", {}, arrow(moved))));
  const words = [`rank ${line.rank || "none"}`, passage.title, passage.gold ? "gold passage" : "", `score ${line.score}`];
  held.others.forEach(({ name }, at) => words.push(`rank by ${name} ${line.others[at][0] || "none"}`));
  const label = words.filter(Boolean).join(", ");
  const row = make(
    "div", { class: "at-row", role: "option", id: `kit-passage-${(passageRows += 1)}`, "aria-label": label, click },
    make("span", { class: "at-rank" }, line.rank || "–"),
    make("span", { class: "at-title", title: `${passage.title} [${passage.id}]` }, passage.gold ? "★ " : "", passage.title),
    make("span", { class: "kit-bar" }, fill, make("b", {}, line.score)),
    make("span", { class: "at-strip", style: stripOf(held, view, number) }), ...cells,
  ); // prettier-ignore
  return { row, number, title: passage.title };
}

// Amber where the reader looks, from the passage's first token to its last; as wide as the passage is long.
function stripOf(held, view, number) {
  const [from, to] = boundsOf(held)[number];
  const parts = Math.min(STRIP, to - from);
  const length = (to - from) / Math.max(...held.lengths);
  const stops = range(parts).map((part) => {
    const [start, end] = [part, part + 1].map((at) => from + Math.floor((at * (to - from)) / parts));
    const shade = shadeOf(Math.max(...view.weights.subarray(start, end)), view.low, view.high, view.request.kind);
    return `rgba(230,159,0,${shade.toFixed(2)}) ${(100 * part) / parts}% ${(100 * (part + 1)) / parts}%`;
  });
  return `width:${(100 * length).toFixed(1)}%;background-image:linear-gradient(90deg,${stops.join()})`;
}
