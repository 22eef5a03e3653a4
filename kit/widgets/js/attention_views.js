// Views of one passage as elements: its map of layers and heads, its words, and the answer's tokens.

import { areShares, boundsOf, byValue, shadeOf } from "./attention_numbers.js";
import { button, make, percent, range, written } from "./dom.js";

const STRONGEST = 3; // words, underlined too: not by colour alone
const CIVIDIS = ["#00224e", "#3b496c", "#707173", "#a59c74", "#e1cc55", "#fee838"]; // reads the same to colour-blind eyes
const NO_SPACE_BEFORE = ".,:;!?)]}%'’";

// Plain keys of an element that moves a choice within itself.
export function onKeys(element, actions) {
  element.addEventListener("keydown", (event) => {
    const action = actions[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });
}

export function tokenText(token) {
  return token.replace(/^▁|^##/, "") || token;
}

export function scoreText(value, view) {
  if (!areShares(view)) return written(value);
  return percent(value, value < 0.1 ? 1 : 0);
}

// The range that bars and colours span: from 0, but for logits, which have no zero.
export function spanOf(values, view) {
  const finite = [...values].filter(Number.isFinite);
  const least = finite.reduce((a, b) => Math.min(a, b), Infinity);
  return [view.request.kind === "logits" ? least : Math.min(0, least), finite.reduce((a, b) => Math.max(a, b), -Infinity)];
}

let idCount = 0;

// The chosen passage's score by layer and head; layer 0, the first, is the lowest row.
export function headMap(app) {
  const grid = make("div", { class: "at-grid", role: "grid", tabindex: 0,
    "aria-label": "Layers and heads; arrow keys choose one, Escape all" }); // prettier-ignore
  const legend = make("p", { class: "at-note at-legend" });
  const element = make("div", {}, grid, legend);
  let [cells, size, now] = [[], "", null];
  const pick = (layer, head) => {
    const again = app.store.state.layer === layer && app.store.state.head === head;
    app.store.set(again ? { layer: null, head: null } : { layer, head });
  };
  const move = (up, right) => () => {
    const { layer, head } = app.store.state;
    const [layers, heads] = now.sizes;
    const inside = (value, count) => Math.min(count - 1, Math.max(0, value));
    const best = byValue(now.map)[0];
    if (layer === null && head === null) pick(Math.floor(best / heads), best % heads); // the first press: the highest
    else app.store.set({ layer: inside((layer ?? 0) + up, layers), head: inside((head ?? 0) + right, heads) });
  };
  onKeys(grid, {
    ArrowUp: move(1, 0), ArrowDown: move(-1, 0), ArrowLeft: move(0, -1), ArrowRight: move(0, 1),
    Enter: move(0, 0), Escape: () => app.store.set({ layer: null, head: null }),
  }); // prettier-ignore
  const fill = (layers, heads) => {
    const edge = (text, layer, head, role) => make("div", { class: "at-edge", role, click: () => pick(layer, head) }, text);
    cells = range(layers * heads).map((at) =>
      make("div", { class: "at-cell", role: "gridcell", id: `kit-head-${(idCount += 1)}`,
        click: () => pick(Math.floor(at / heads), at % heads) }), // prettier-ignore
    );
    const lines = range(layers).reverse().map((layer) =>
      make("div", { role: "row" }, edge(layer ? String(layer) : "layer 0", layer, null, "rowheader"),
        cells.slice(layer * heads, (layer + 1) * heads)), // prettier-ignore
    );
    const numbers = range(heads).map((head) => edge(String(head), null, head, "columnheader"));
    grid.replaceChildren(...lines, make("div", { role: "row" }, make("div", { class: "at-edge" }, "head"), numbers));
    grid.style.setProperty("--heads", heads);
    grid.style.setProperty("--cell", `${Math.max(12, Math.min(30, 300 / layers))}px`);
    grid.classList.toggle("at-many", layers > 12 || heads > 12);
  };
  const show = (map, view) => {
    const [layers, heads] = map.shape;
    now = { map, sizes: [layers, heads] };
    if (size !== `${layers} ${heads}`) fill(layers, heads);
    size = `${layers} ${heads}`;
    const [low, most] = spanOf(map, view);
    const high = areShares(view) ? Math.max(0.05, most) : most; // next to nothing is not bright
    const { layer: chosenLayer, head: chosenHead } = view.request;
    cells.forEach((cell, at) => {
      const part = (map[at] - low) / (high - low || 1);
      const [layer, head] = [Math.floor(at / heads), at % heads];
      cell.style.background = Number.isFinite(part) ? nthColour(part) : "none";
      cell.style.color = part > 0.5 ? "#000" : "#fff";
      cell.textContent = cells.length <= 64 ? scoreText(map[at], view) : "";
      cell.title = `layer ${layer}, head ${head}: ${scoreText(map[at], view)}`;
      cell.setAttribute("aria-label", cell.title);
      const one = chosenLayer !== null || chosenHead !== null;
      const inside = (chosenLayer ?? layer) === layer && (chosenHead ?? head) === head;
      cell.setAttribute("aria-selected", String(one && inside));
      if (one && inside) grid.setAttribute("aria-activedescendant", cell.id);
    });
    legend.replaceChildren(scoreText(low, view), make("i", { class: "at-scale cividis" }), scoreText(high, view));
  };
  return { element, show };
}

function nthColour(part) {
  const place = Math.min(0.9999, Math.max(0, part)) * (CIVIDIS.length - 1);
  const [from, share] = [Math.floor(place), 100 * (place % 1)];
  return `color-mix(in srgb, ${CIVIDIS[from + 1]} ${share.toFixed(0)}%, ${CIVIDIS[from]})`;
}

// One passage's words, shaded by their weights; a click on one chooses it.
export function passageWords(app) {
  const title = make("p", { class: "at-of" });
  const list = make("div", { class: "at-words", role: "listbox", tabindex: 0, "aria-orientation": "horizontal",
    "aria-label": "Words; left and right go through them, up and down from strong to weak" }); // prettier-ignore
  const element = make("div", { class: "at-passage" }, title, list);
  let [words, key, now] = [[], "", null];
  const pick = (token) => app.store.set({ passage: now.id, token: token === app.store.state.token ? null : token });
  const step = (by) => () => pick(Math.min(words.length - 1, Math.max(0, (now.token ?? (by > 0 ? -1 : words.length)) + by)));
  const stronger = (by) => () => {
    const order = byValue(now.weights);
    pick(order[Math.min(order.length - 1, Math.max(0, now.token === null ? 0 : order.indexOf(now.token) + by))]);
  };
  onKeys(list, { ArrowLeft: step(-1), ArrowRight: step(1), ArrowUp: stronger(-1), ArrowDown: stronger(1) });
  const fill = (tokens, question) => {
    const pieces = tokens.some((token) => token.startsWith("▁"));
    const starts = (token) => (pieces ? token.startsWith("▁") : !token.startsWith("##") && !NO_SPACE_BEFORE.includes(token));
    const parts = [make("div", { class: "at-question", role: "presentation" }), make("div", { role: "presentation" })];
    words = tokens.map((token, place) => {
      const word = make("span", { class: "at-word", role: "option", id: `kit-word-${(idCount += 1)}`,
        click: () => pick(place) }, tokenText(token)); // prettier-ignore
      parts[place < question ? 0 : 1].append(starts(token) ? " " : "", word);
      return word;
    });
    list.replaceChildren(...parts);
  };
  const show = ({ held, view }, number, token, same) => {
    const [from, to] = boundsOf(held)[number];
    const passage = held.passages[number];
    const weights = view.weights.subarray(from, to);
    const kind = view.request.kind;
    now = { id: passage.id, weights, token };
    if (key !== `${held.id} ${number}`) fill([...held.tokens.subarray(from, to)].map((at) => held.words[at]), held.question_length);
    key = `${held.id} ${number}`;
    const [low, high] = same ? [view.low, view.high] : [kind === "logits" ? Math.min(...weights) : 0, Math.max(...weights)];
    const strongest = new Set(byValue(weights).slice(0, STRONGEST));
    words.forEach((word, place) => {
      const shade = shadeOf(weights[place], low, high, kind);
      const skipped = !view.way.question && place < held.question_length;
      word.style.setProperty("--shade", shade.toFixed(3));
      word.className = ["at-word", shade > 0.6 && "dark", strongest.has(place) && "top", skipped && "skipped"].filter(Boolean).join(" ");
      word.title = written(weights[place]);
      word.setAttribute("aria-selected", String(place === token));
    });
    if (token === null) list.removeAttribute("aria-activedescendant");
    else list.setAttribute("aria-activedescendant", words[token].id);
    title.textContent = `${passage.gold ? "★ " : ""}${passage.title} [${passage.id}]`;
  };
  return { element, show };
}

// The answer, token by token: how much of each token's attention the chosen passage has stands below it as a bar.
export function answerTokens(app) {
  const group = make("div", { class: "kit-buttons", role: "group", "aria-label": "Answer token" });
  const said = make("span", { class: "at-said" });
  const accepted = make("span", { class: "at-note" });
  const element = make("div", { class: "at-answer" }, said, group, app.controls.get("said"), accepted);
  let count = 0;
  const step = (by) => () => {
    const answer = Math.min(count - 1, Math.max(-1, (app.store.state.answer ?? -1) + by));
    app.store.set({ answer: answer < 0 ? null : answer });
  };
  onKeys(group, { ArrowLeft: step(-1), ArrowRight: step(1) });
  const show = ({ held, view, passage }, chosen) => {
    const { tokens, text } = held.answers[view.request.said];
    count = tokens.length;
    const focused = group.contains(document.activeElement);
    const [low, high] = spanOf(view.scores.flatMap((row) => [...row]), view);
    const marks = view.scores.map((row) => row[passage]);
    const most = byValue(marks)[0];
    const one = (token, place) => {
      const carried = chosen && place === most;
      const title = `what the reader looks at just before it writes ${tokenText(token)}: ${scoreText(marks[place], view)} on the passage`;
      const made = button(tokenText(token), title, () => app.store.set({ answer: place }));
      const fill = make("i", { class: carried ? "at-under carried" : "at-under" });
      fill.style.setProperty("--share", Math.max(0, (marks[place] - low) / (high - low || 1)));
      made.append(fill);
      return made;
    };
    const all = button("all tokens", "the mean over all answer tokens", () => app.store.set({ answer: null }));
    const buttons = [all, ...tokens.map(one)];
    const pressed = view.request.answer === null ? 0 : view.request.answer + 1;
    buttons.forEach((made, place) => {
      made.setAttribute("aria-pressed", String(place === pressed));
      made.tabIndex = place === pressed ? 0 : -1; // one stop for Tab; arrow keys go on
    });
    group.replaceChildren(...buttons);
    if (focused) buttons[pressed].focus();
    app.controls.get("said").hidden = Object.keys(held.answers).length < 2;
    const fed = view.request.said === "given" ? " The reader is fed " : " The reader answers ";
    said.replaceChildren(make("b", {}, held.text), fed, make("b", {}, text || "nothing"));
    const mark = held.right === null ? "" : held.right ? "✓ accepted" : `✗ accepted: ${held.accepted.slice(0, 4).join(" · ")}`;
    accepted.textContent = mark;
  };
  return { element, show };
}

// One word's weight before each answer token: a bar each, on one scale.
export function wordDetail(tokens, weights, token, word, view) {
  const values = weights.map((row) => row[token]);
  const [low] = spanOf(weights.flatMap((row) => [...row]), view);
  const high = weights.reduce((most, row) => row.reduce((a, b) => Math.max(a, b), most), -Infinity);
  const rows = tokens.map((name, at) => {
    const fill = make("i", { class: "kit-fill word" });
    fill.style.setProperty("--share", (values[at] - low) / (high - low || 1));
    const now = view.request.answer === at ? "at-weight now" : "at-weight";
    return make("div", { class: now }, make("span", {}, tokenText(name)), make("span", { class: "kit-bar" }, fill, make("b", {}, written(values[at]))));
  });
  return [make("p", {}, "“", make("b", {}, tokenText(word)), "” before each answer token:"), ...rows];
}
