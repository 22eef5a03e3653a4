// The playground's views as elements: what each retriever finds, the passages that are read, the answer.

import { SERIES } from "./chart.js";
import { button, make, percent, range, short, written } from "./dom.js";

export const OWN = "own-"; // how the ids of passages begin that are written in the page

// A letter for each passage, the same in all views: A ... Z, then AA ...
export function lettersOf(ids) {
  return new Map([...new Set(ids)].map((id, number) => [id, String.fromCharCode(65 + (number % 26)).repeat(1 + Math.floor(number / 26))]));
}

function badge(letter, shared) {
  const style = shared ? `background:${SERIES[(letter.charCodeAt(0) - 65) % SERIES.length]};color:#000;border-style:solid` : "";
  return make("span", { class: "pg-badge", style }, letter);
}

const starred = (passage) => `${passage.gold ? "★ " : ""}${passage.title || passage.id}`;

// A column a retriever; a passage unfolds to its text, and a button puts it among those that are read.
export function retrievedColumns(app, actions) {
  const element = make("div", { class: "pg-columns" });
  const show = ({ retrieved, letters, passages }) => {
    const read = new Set(passages.map(({ id }) => id));
    const line = (list, id, at) => {
      const passage = retrieved.passages[id];
      const also = retrieved.lists.filter((other) => other !== list && other.ids.includes(id)).map(({ name }) => name);
      const text = make("p", {}, passage.text, passage.cut ? "…" : "");
      const unfold = async ({ target }) => {
        if (target.open && passage.cut) text.textContent = (await app.ask("passage", { id })).text;
      };
      const label = also.length ? `also found by ${also.join(", ")}` : "";
      const title = make("summary", { title: label }, badge(letters.get(id), also.length), ` ${starred(passage)} `, make("small", {}, written(list.scores[at])));
      const add = button("+", `read ${passage.title || id} too`, () => actions.add(id));
      add.disabled = read.has(id);
      return make("li", {}, make("details", { toggle: unfold }, title, text), add);
    };
    const columns = retrieved.lists.map((list) => make("section", {}, make("b", {}, list.name),
      list.ids.length ? make("ol", {}, list.ids.map((id, at) => line(list, id, at))) : make("p", {}, "nothing found"))); // prettier-ignore
    element.replaceChildren(...columns);
  };
  return { element, show };
}

// One row a passage that is read: both measures as bars, those of the reading before as diamonds; edited in its place.
export function readList(app, actions) {
  const list = make("ol", { class: "pg-list" });
  const own = button("write a passage", "add a passage of your own", () => actions.write());
  const back = button("as found", "read the passages as they were found", () => app.store.set({ passages: null }));
  own.hidden = Boolean(app.model.file); // an exported page does not read
  const element = make("div", {}, list, make("div", { class: "kit-buttons" }, own, back));
  let dragged = null;
  const show = (now, edited) => {
    const { passages, reading, before } = now;
    const heads = ["", "passage", "attention score", "leave-one-out (nats)", ""].map((name) => make("span", {}, name));
    const measures = ["attention", "effect"].map((name) => measureOf(now, name));
    const rows = passages.map((passage, place) => {
      const tools = [
        button("↑", "read earlier", () => actions.move(place, place - 1)), button("↓", "read later", () => actions.move(place, place + 1)),
        button("✎", "edit", () => actions.edit(passage.id)), button("✕", "take away", () => actions.drop(place)),
      ]; // prettier-ignore
      [tools[0].disabled, tools[1].disabled] = [place === 0, place === passages.length - 1];
      tools[2].hidden = own.hidden;
      tools.forEach((one) => one.setAttribute("aria-label", `${one.title}: ${passage.title || passage.id}`));
      const gold = reading && !now.stale ? reading.gold[place] : passage.gold;
      const title = make("div", { class: "pg-title" }, badge(now.letters.get(passage.id), false), ` ${starred({ ...passage, gold })}`,
        passage.changed ? make("small", {}, ` (${passage.changed})`) : null, make("p", { title: passage.text }, passage.text)); // prettier-ignore
      const row = make("li", {
        class: "pg-row", draggable: "true", dragstart: () => (dragged = place), dragover: (event) => event.preventDefault(),
        drop: (event) => (event.preventDefault(), dragged !== null && actions.move(dragged, place)),
      }, make("span", { class: "pg-place" }, place + 1), title, ...measures.map((bar) => bar(passage.id, gold)), make("div", { class: "pg-tools" }, tools)); // prettier-ignore
      if (edited === passage.id) row.append(editor(passage, actions));
      return row;
    });
    list.replaceChildren(make("li", { class: "pg-row pg-heads", "aria-hidden": "true" }, heads), ...rows);
    list.classList.toggle("stale", now.stale);
    back.disabled = app.store.state.passages === null;
    if (before) list.title = "diamonds: the reading before";
  };
  return { element, show };
}

function editor(passage, actions) {
  const title = make("input", { type: "text", "aria-label": "title", value: passage.title });
  const text = make("textarea", { rows: 4, "aria-label": "text" }, passage.text);
  const apply = () => actions.apply(passage.id, title.value, text.value);
  const buttons = [button("Apply", "take over the text", apply), button("Cancel", "leave it as it is", () => actions.edit(null))];
  const keyed = (event) => event.key === "Enter" && event.ctrlKey && (event.preventDefault(), apply());
  return make("div", { class: "pg-editor", draggable: "true", dragstart: (event) => (event.preventDefault(), event.stopPropagation()), keydown: keyed }, title, text, make("div", { class: "kit-buttons" }, buttons));
}

// A function that draws one measure of a passage. Attention begins at the lowest: only differences of logits mean something.
function measureOf({ reading, before, readIds, beforeIds }, name) {
  const values = reading ? [...reading[name]] : [];
  const old = before ? [...before[name]] : [];
  const finite = [...values, ...old].filter(Number.isFinite);
  const low = name === "attention" ? Math.min(...finite) : Math.min(0, ...finite);
  const high = Math.max(name === "effect" ? 0.5 : low + 1e-6, ...finite);
  const share = (value) => (value - low) / (high - low || 1);
  const zero = name === "attention" ? 0 : share(0);
  return (id, gold) => {
    const value = values[readIds.indexOf(id)];
    const earlier = old[beforeIds.indexOf(id)];
    const fill = make("i", { class: gold ? "kit-fill gold" : "kit-fill" });
    const known = Number.isFinite(value);
    fill.style.setProperty("--share", known ? Math.abs(share(value) - zero) : 0);
    fill.style.marginLeft = known ? `calc((100% - 4em) * ${Math.min(zero, share(value))})` : "0";
    const diamond = Number.isFinite(earlier) ? make("span", { class: "pg-before", title: `before: ${effectText(earlier)}`, style: `left:calc((100% - 4em) * ${share(earlier)})` }, "◇") : null;
    return make("span", { class: "kit-bar" }, fill, make("b", {}, effectText(value)), diamond);
  };
}

// Nothing behind the third decimal: 1e-5 nats are none.
export function effectText(value) {
  return Number.isFinite(value) ? written(Number(value.toFixed(3))) : "–";
}

export function likelyText(logLikelihood) {
  const share = Math.exp(logLikelihood);
  return share < 0.001 ? "below 0.1%" : percent(share, 1);
}

// The answer, how likely the reader finds it, and what it was before.
export function answerLine({ reading, before, retrieved, stale }) {
  if (!reading) return [make("span", {}, "Not read yet.")];
  const stated = [...reading.gold].some(Boolean);
  const verdict = reading.right === null ? "" : !reading.right ? `✗ accepted: ${retrieved.accepted.slice(0, 3).join(", ")}`
    : stated ? "✓ accepted" : "✓ accepted, though no passage that is read states it"; // prettier-ignore
  const same = before && before.answer === reading.answer ? "the same" : before?.answer || "nothing";
  const was = before ? `; before: ${same}, ${likelyText(before.log_likelihood)}` : "";
  return [
    make("span", {}, "Answer: ", make("b", { class: "pg-answer" }, reading.answer || "(nothing)"), ` ${verdict}`),
    make("span", { class: "pg-soft" }, `its probability: ${likelyText(reading.log_likelihood)}${was}`),
    stale ? make("span", { class: "pg-soft" }, "The passages have changed since: press Read.") : null,
  ].filter(Boolean); // prettier-ignore
}

// Is attention telling the truth? One sentence.
export function truthOf({ reading, readIds, letters }) {
  if (!reading?.truth) return "";
  const { attention_first: first, effect_first: needed, spearman } = reading.truth;
  const name = (place) => letters.get(readIds[place]);
  const correlated = needed === null || spearman === null ? "" : ` Rank correlation over ${readIds.length} passages: ${spearman.toFixed(2)}.`;
  if (needed === null) return `Attention is highest on ${name(first)}, but no single passage is needed: without any one of them the answer is about as likely.`;
  if (needed === first) return `Attention is highest on ${name(first)}, and that is the truth: without it the answer loses most.${correlated}`;
  return `Attention is highest on ${name(first)}, but the answer depends most on ${name(needed)}.${correlated}`;
}

// What was changed from one list of passages to the next, in letters.
export function changesOf(old, now, letters) {
  const texts = (list) => new Map(list.map((one) => [one.id, `${one.title}\n${one.text}`]));
  const [before, after] = [texts(old), texts(now)];
  const named = (ids) => ids.map((id) => letters.get(id)).join(", ");
  const gone = [...before.keys()].filter((id) => !after.has(id));
  const fresh = [...after.keys()].filter((id) => !before.has(id));
  const edited = [...after.keys()].filter((id) => before.has(id) && before.get(id) !== after.get(id));
  const parts = [gone.length && `without ${named(gone)}`, fresh.length && `with ${named(fresh)}`, edited.length && `${named(edited)} edited`];
  const said = parts.filter(Boolean);
  if (gone.length > 2 && fresh.length > 2) return `${now.length} passages`;
  return said.length ? said.join(", ") : range(now.length).some((at) => old[at].id !== now[at].id) ? "another order" : "read again";
}

export const shortTitle = (passage) => short(passage.title || passage.id, 30);
