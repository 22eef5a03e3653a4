// The attention explorer: all its views over one state. See attention_explorer.py and attention_numbers.js.

import { passageBars } from "./attention_bars.js";
import { answerFlow, partsOf } from "./attention_flow.js";
import { areShares, attentionOfPassage, attentionView, boundsOf, byValue, ranksOf } from "./attention_numbers.js";
import { answerTokens, headMap, passageWords, scoreText, tokenText, wordDetail } from "./attention_views.js";
import { button, make, range, written } from "./dom.js";
import { explorer } from "./explorer.js";
import { addTour } from "./tour.js";

const KINDS = { logits: "attention logit", probabilities: "attention", value_norms: "attention × value length" };

const TOUR = [
  { at: ".at-bars", text: "A bar is how much of its attention the reader gives a passage. Choose another passage.",
    done: (state, start) => state.passage !== start.passage },
  { at: ".at-grid", text: "The same passage, head by head. Click the brightest one: the bars are now its own.",
    done: (state) => state.layer !== null && state.head !== null },
  { at: ".at-words", text: "The words that it looks at are dark. Click the darkest.", done: (state) => state.token !== null },
  { at: ".at-answer", text: "All this was just before one token of the answer. Choose another token.",
    done: (state, start) => state.answer !== start.answer },
  { at: "[data-control=aggregation]", text: "FiD-KD distils another score, the mean logit. Choose it: is the order the same?",
    done: (state) => state.aggregation === "fid_kd" },
]; // prettier-ignore

function build(app) {
  app.store.also = (changes) => alsoChanged(app.data, changes);
  const answer = answerTokens(app);
  app.controls.get("question").hidden = app.store.controls[0].options.length < 2;
  app.bar.after(answer.element);
  const [bars, map, flow] = [passageBars(app), headMap(app), answerFlow(app)];
  const pair = [passageWords(app), passageWords(app)];
  const beside = button("compare", "keep this passage beside the next", () => {
    const { state } = app.store;
    app.store.set({ beside: state.beside === null ? (current?.id ?? null) : null });
  });
  const detail = make("div", { class: "at-detail", "aria-live": "polite" });
  const both = make("div", { class: "at-pair" }, ...pair.map(({ element }) => element));
  const panels = {
    bars: app.panel("passages", { element: make("div", {}, app.controls.get("order"), bars.element) }),
    map: app.panel("layers-and-heads", { element: map.element }),
    words: app.panel("words", {
      element: make("div", {}, make("div", { class: "kit-buttons" }, beside, app.controls.get("same_shade")), both, detail),
    }),
    flow: app.panel("way-of-the-answer", { wide: true, element: flow.element, svg: flow.svg }),
  };
  addTour(app, TOUR);
  let current = null;
  return async (state) => {
    const held = await app.ask("question", { question: state.question });
    const view = await attentionView(app, held, state);
    const order = orderOf(held, view, state.order);
    const place = (id) => held.passages.findIndex((one) => id !== null && one.id === String(id));
    const passage = place(state.passage) < 0 ? byValue(view.row)[0] : place(state.passage);
    if (state !== app.store.state) return; // another came meanwhile
    const request = JSON.stringify([view.request, state.order]);
    current = current?.request === request ? current : { request, held, view, order };
    Object.assign(current, { passage, id: held.passages[passage].id });
    app.say([sentenceOf(current, app.data.sizes), ...heldHere(app)]);
    answer.show(current, state.passage !== null);
    bars.show(current);
    const token = showWords(current, state, place(state.beside));
    flow.show(current);
    const ofPassage = await attentionOfPassage(app, held, view, passage); // of a large reader it comes later
    if (state !== app.store.state) return;
    map.show(ofPassage.map, view);
    const { tokens } = held.answers[view.request.said];
    const word = token === null ? "" : held.words[held.tokens[boundsOf(held)[passage][0] + token]];
    detail.hidden = token === null;
    if (token !== null) detail.replaceChildren(...wordDetail(tokens, ofPassage.tokens, token, word, view));
    showTitles(current, ofPassage);
  };

  function showWords(now, state, second) {
    const { held, passage } = now;
    const token = state.token !== null && state.token < held.lengths[passage] ? state.token : null;
    pair[0].show(now, passage, token, state.same_shade);
    pair[1].element.hidden = second < 0 || second === passage;
    if (!pair[1].element.hidden) pair[1].show(now, second, null, state.same_shade);
    beside.setAttribute("aria-pressed", String(state.beside !== null));
    return token;
  }

  // Tables are made when they are saved.
  function showTitles(now, ofPassage) {
    const { held, view, passage } = now;
    const { title } = held.passages[passage];
    panels.bars.show({ title: "Passages", get table() { return passageTable(held, view); } });
    panels.map.show({ title: `Layers and heads: ${title}`, get table() { return headTable(ofPassage.map); } });
    panels.words.show({ title: `Words: ${title}`, get table() { return wordTable(held, view, passage, ofPassage.tokens); } });
    panels.flow.show({ title: "The way of the answer: from passages to its tokens", get table() { return flowTable(now); } });
    panels.flow.hide(view.request.kind === "logits"); // logits have no parts
  } // prettier-ignore
}

// Another aggregation brings the kind and answer token that it is defined with, another question no passage.
function alsoChanged(data, changes) {
  const way = "aggregation" in changes ? data.aggregations[changes.aggregation] : null;
  const defined = way ? { kind: way.defined.kind, answer: way.defined.answer } : {};
  if ("question" in changes) return { ...defined, passage: null, beside: null, token: null, said: "generated" };
  return "passage" in changes ? { ...defined, token: null } : defined;
}

function orderOf(held, view, order) {
  if (order === "retrieved") return range(held.passages.length);
  return byValue(order === "reader" ? view.row : held.others.find(({ name }) => name === order).values);
}

function headTable(map) {
  const [layers, heads] = map.shape;
  const rows = range(layers).map((layer) => [layer, ...range(heads).map((head) => written(map[layer * heads + head]))]);
  return { header: ["layer", ...range(heads).map((head) => `head ${head}`)], rows };
}

function wordTable(held, view, passage, weights) {
  const from = boundsOf(held)[passage][0];
  const word = (at) => tokenText(held.words[held.tokens[from + at]]);
  const rows = range(held.lengths[passage]).map((at) => [at, word(at), ...weights.map((row) => written(row[at]))]);
  return { header: ["token", "word", ...held.answers[view.request.said].tokens.map(tokenText)], rows };
}

function flowTable({ held, view, order }) {
  const parts = partsOf(view.scores);
  const rows = order.map((at) => [held.passages[at].title, ...parts.map((row) => written(row[at]))]);
  return { header: ["passage", ...held.answers[view.request.said].tokens.map(tokenText)], rows };
}

function passageTable(held, view) {
  const others = held.others.map(({ name }) => [`${name} score`, `${name} rank`]);
  const header = ["question", "passage", "title", "gold", "tokens", "score", "rank", ...others.flat()];
  const [ranks, other] = [ranksOf(view.row), held.others.map(({ values }) => ranksOf(values))];
  const rows = held.passages.map(({ id, title, gold }, at) => [
    held.id, id, title, gold ? "gold" : "", held.lengths[at], view.row[at], ranks[at],
    ...held.others.flatMap(({ values }, n) => [values[at], other[n][at] || ""]),
  ]); // prettier-ignore
  return { header, rows };
}

function heldHere({ data, model, store }) {
  const held = store.controls[0].options.length;
  return model.file && held < data.questions ? [`This page holds ${held} of ${data.questions} questions.`] : [];
}

// One sentence that says what a bar is.
function sentenceOf({ held, view: { request, way } }, [layers, heads]) {
  const { tokens } = held.answers[request.said];
  const one = request.answer;
  const when = one === null ? "the mean over all answer tokens" : `just before answer token ${one + 1}, “${tokenText(tokens[one])}”`;
  const over = (how, number, name, count) =>
    number === null ? `${how === "max" ? "highest" : "mean"} over ${count} ${name}s` : `${name} ${number}`;
  const where = [over(way.over_layers, request.layer, "layer", layers), over(way.over_heads, request.head, "head", heads)];
  const how = { mean: "mean", sum: "sum", max: "highest", top: `mean of the ${way.top} highest` }[way.over_tokens];
  const without = way.question ? "" : " without the question’s";
  return `A bar is a passage’s ${KINDS[request.kind]}, ${when}: ${where.join(", ")}, ${how} over its tokens${without}${way.scale === 1 ? "" : ` × ${written(way.scale)}`}.`;
}

export default explorer(build);
