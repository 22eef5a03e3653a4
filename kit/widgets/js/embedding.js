// The embedding explorer: the map of questions and passages by one student, and the words of the chosen passage.
//
// app.data: { questions: [{ id, text }], passages: [{ id, title }], rows and gold: { question id: passage ids },
// planes: { student: { points, explained } } (questions first), scores: { student: { question id: scores } } }.

import { passageWords, tokenText } from "./attention_views.js";
import { boundsOf, ranksOf } from "./attention_numbers.js";
import { GOLD, OTHER, SERIES } from "./chart.js";
import { make, percent, short, written } from "./dom.js";
import { explorer } from "./explorer.js";

function build(app) {
  app.store.also = (changes) => alsoChosen(app.data, app.store.state, changes);
  const onClick = ({ customdata }) => customdata && app.store.set({ [customdata[0]]: customdata[1] });
  const columns = make("div", { class: "at-pair" });
  const sides = [];
  const panels = {
    map: app.panel("map", { onClick }),
    words: app.panel("words", { element: columns }),
    passages: app.panel("passages", { wide: true, kind: "table" }),
  };
  return async (state) => {
    const row = app.data.rows[state.question];
    const chosen = row.indexOf(state.passage);
    const passage = chosen < 0 ? Math.max(0, row.indexOf(app.data.gold[state.question][0])) : chosen;
    panels.map.show(mapOf(app.data, state, row[passage]));
    panels.passages.show(scoresOf(app.data, state, passage));
    const held = await app.ask("words", { question: state.question }).catch((error) => ({ sides: [], why: error.message }));
    if (state !== app.store.state) return; // another came meanwhile
    while (sides.length < held.sides.length) columns.append(sides[sides.push(passageWords(app)) - 1].element);
    sides.forEach(({ element }, at) => (element.hidden = at >= held.sides.length));
    held.sides.forEach((side, at) => showSide(sides[at], side, state, row, passage));
    app.say([held.why ?? sentence(held.sides, state, passage)]);
    const { title } = app.data.passages.find(({ id }) => id === row[passage]);
    const star = app.data.gold[state.question].includes(row[passage]) ? "★ " : "";
    panels.words.show({ title: `What each word adds: ${star}${title}`, table: wordsOf(held.sides, passage) });
  };
}

// Another question begins with its gold passage; a passage that the question does not have brings one that has it.
function alsoChosen(data, state, changes) {
  if ("question" in changes) return { passage: null, token: null };
  if (!("passage" in changes)) return {};
  const has = (question) => changes.passage === null || data.rows[question].includes(changes.passage);
  return { token: null, question: has(state.question) ? state.question : Object.keys(data.rows).find(has) };
}

function mapOf(data, state, passage) {
  const { points, explained } = data.planes[state.encoder];
  const point = new Map([...data.questions.map(({ id }) => `q${id}`), ...data.passages.map(({ id }) => `p${id}`)].map((key, at) => [key, at]));
  const at = (key, axis) => points[2 * point.get(key) + axis];
  const trace = (name, kind, listed, label, marker) => ({
    type: "scatter", mode: "markers", name, x: listed.map((one) => at(kind[0] + one.id, 0)), y: listed.map((one) => at(kind[0] + one.id, 1)),
    customdata: listed.map((one) => [kind, one.id]), text: listed.map(label), hovertemplate: "%{text}<extra></extra>", marker,
  }); // prettier-ignore
  const lines = (questions, line) => {
    const ends = questions.flatMap((one) => data.gold[one].flatMap((gold) => [`q${one}`, `p${gold}`, null]));
    const along = (axis) => ends.map((key) => key && at(key, axis));
    return { type: "scatter", mode: "lines", x: along(0), y: along(1), line, hoverinfo: "skip", showlegend: false };
  };
  const [title, text] = [({ title, id }) => `${short(title, 60)} [${id}]`, ({ text }) => short(text, 60)];
  const gold = data.passages.filter(({ id }) => data.gold[state.question].includes(id));
  const ring = { symbol: "circle-open", size: 20, color: SERIES[1], line: { width: 3 } };
  const figure = [
    lines(Object.keys(data.gold), { color: "rgba(128,128,128,.35)", width: 1 }),
    lines([state.question], { color: GOLD, width: 2.5 }),
    trace("passages", "passage", data.passages, title, { color: OTHER, size: 7, opacity: 0.6 }),
    trace("questions", "question", data.questions, text, { symbol: "diamond", color: SERIES[0], size: 9 }),
    trace("its gold passages", "passage", gold, title, { symbol: "star", color: GOLD, size: 14 }),
    trace("this question", "question", data.questions.filter(({ id }) => id === state.question), text, { symbol: "diamond", color: SERIES[0], size: 16, line: { width: 2 } }),
    { ...trace("this passage", "passage", data.passages.filter(({ id }) => id === passage), title, ring) },
  ];
  const axis = (number) => ({ title: { text: `component ${number + 1}: ${percent(explained[number])} of the variance` }, zeroline: false });
  const layout = { height: 430, margin: { l: 10, r: 12, t: 60, b: 10 }, hovermode: "closest", xaxis: axis(0), yaxis: axis(1) };
  const rows = [...point].map(([key, number]) => [key[0] === "q" ? "question" : "passage", key.slice(1), written(points[2 * number]), written(points[2 * number + 1])]);
  return { title: `Questions and passages: ${state.encoder}`, figure: { data: figure, layout },
    table: { header: ["", "id", "component 1", "component 2"], rows, words: 2 } }; // prettier-ignore
}

function scoresOf(data, state, chosen) {
  const names = Object.keys(data.scores);
  const of = names.map((name) => data.scores[name][state.question]);
  const ranks = of.map(ranksOf);
  const titles = new Map(data.passages.map(({ id, title }) => [id, title]));
  const rows = data.rows[state.question].map((id, at) => [
    `${data.gold[state.question].includes(id) ? "★ " : ""}${titles.get(id)} [${id}]`,
    ...names.flatMap((_, n) => [written(of[n][at]), ranks[n][at]]),
  ]); // prettier-ignore
  const header = ["passage", ...names.flatMap((name) => [`${name}: score`, "rank"])];
  const { text } = data.questions.find(({ id }) => id === state.question);
  return { title: `The passages of “${text}”`, table: { header, rows, chosen } };
}

function showSide(view, side, state, row, passage) {
  const score = side.kind === "logits" ? `score ${written(side.scores[passage])}` : `attention ${percent(side.scores[passage])}`;
  const passages = row.map((id) => ({ id, title: `${side.name}, ${score}` }));
  const shown = { request: { kind: side.kind }, way: { question: true }, weights: side.weights };
  side.id ??= `${side.name} ${state.question}`;
  view.show({ held: { ...side, passages }, view: shown }, passage, tokenIn(side, state, passage), false);
}

const tokenIn = (side, { token }, passage) => (side.kind === "logits" && token < side.lengths[passage] ? token : null);

function sentence(sides, state, passage) {
  const students = sides.filter(({ kind }) => kind === "logits");
  if (!students.length) return "These students take a first token's state as a passage's vector: its score has no parts.";
  if (state.token === null) {
    return "A score is the sum of what its words add. A shade goes from the word that adds least to the one that adds most; click a word.";
  }
  const parts = students.map((side) => {
    const place = boundsOf(side)[passage][0] + state.token;
    const word = tokenText(side.words[side.tokens[place]]);
    return `“${word}” adds ${written(side.weights[place])} of ${written(side.scores[passage])} (${side.name})`;
  });
  return `${parts.join("; ")}.`;
}

function wordsOf(sides, passage) {
  const rows = sides.flatMap((side) => {
    const [from, to] = boundsOf(side)[passage];
    return [...side.tokens.subarray(from, to)].map((word, at) => [side.name, tokenText(side.words[word]), written(side.weights[from + at])]);
  });
  return { header: ["model", "word", "adds"], rows, words: 2 };
}

export default explorer(build);
