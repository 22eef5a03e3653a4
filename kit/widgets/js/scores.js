// Score distributions: tables of the same questions side by side, margins, and the gradient that a loss gives.
//
// app.data: { questions: [{ id, text }], titles, passages (q, u), gold (q, u), values: { table: (q, u) },
// agreements: { "a|b": (q, 3) }, held, of }. A cell that a table does not score is NaN.

import { barsOf, DASHES, lookOf, nth, SERIES, SYMBOLS } from "./chart.js";
import { mean, percent, range, short, written } from "./dom.js";
import { explorer } from "./explorer.js";
import { lossOver, softmax, takesTemperature } from "./losses.js";

const SHOWN = 20; // passages of one question: more bars would not be read
const POINTS = 200; // of a curve over questions
const BINS = 40;
const NARROW = 640; // pixels: fewer columns stand beside each other
const ROUNDING = 1e-7; // of scores that were kept as float32: a smaller gradient is none

// One question's row of every table, on the teacher's cells and in its order.
function rowOf(data, state, row) {
  const width = data.gold.shape[1];
  const at = (array) => array.subarray(row * width, (row + 1) * width);
  const teacher = at(data.values[state.teacher]);
  const cells = range(width).filter((cell) => !Number.isNaN(teacher[cell]));
  cells.sort((a, b) => teacher[b] - teacher[a] || a - b);
  const pick = (array) => cells.map((cell) => array[cell]);
  const values = Object.fromEntries(Object.entries(data.values).map(([name, array]) => [name, pick(at(array))]));
  return { values, gold: pick(at(data.gold)).map(Boolean), passages: pick(at(data.passages)), question: data.questions[row] };
}

const heatOf = (state, name) => (name === state.teacher ? state.teacher_temperature : state.temperature);

// The best gold passage's score less the best other's; NaN where one of them is missing.
function marginOf(values, gold) {
  const best = (kind) => Math.max(...values.filter((value, n) => gold[n] === kind && Number.isFinite(value)));
  const margin = best(true) - best(false);
  return Number.isFinite(margin) ? margin : NaN;
}

function entropyOf(values, temperature) {
  const shares = softmax(values, temperature).filter((share) => share > 0);
  return shares.length ? -shares.reduce((total, share) => total + share * Math.log(share), 0) : NaN;
}

function roleOf(state, name) {
  const role = name === state.teacher ? "teacher" : name === state.student ? "student" : "";
  return role && role !== name ? `${name} (${role})` : name;
}

// All that a state makes of the data: rows, the chosen one, the loss and its gradients.
function viewOf(data, state) {
  const all = data.questions.map((_, row) => rowOf(data, state, row));
  const chosen = state.question === null ? null : all.find(({ question }) => question.id === state.question);
  const rows = chosen ? [chosen] : all;
  const heat = { student: state.temperature, teacher: state.teacher_temperature };
  const against = (name) => (row) => ({ student: row.values[name], teacher: row.values[state.teacher] });
  const loss = (name) => lossOver(state.loss, rows.map(against(name)), heat);
  const names = [...new Set([state.teacher, state.student, ...Object.keys(data.values)])];
  return { all, rows, chosen, names, loss, at: loss(state.student) };
}

function build(app) {
  const pick = ({ customdata }) => customdata && app.store.set({ question: customdata });
  const panels = {
    tables: app.panel("scores", { wide: true }),
    gradient: app.panel("gradient"),
    margins: app.panel("margins", { onClick: pick }),
    numbers: app.panel("numbers", { wide: true, kind: "table" }),
  };
  return (state) => {
    const view = viewOf(app.data, state);
    const narrow = app.root.clientWidth < NARROW;
    app.say(saidOf(app.data, state, view));
    panels.tables.show(view.chosen ? passageBars(app.data, state, view, narrow) : spread(state, view, narrow));
    panels.gradient.hide(view.chosen !== null);
    panels.numbers.element.classList.toggle("wide", view.chosen === null);
    if (!view.chosen) panels.gradient.show(gradientByPlace(state, view));
    panels.margins.show(marginCurves(app.data, state, view));
    panels.numbers.show(numbers(app.data, state, view));
  };
}

function saidOf(data, state, view) {
  const lines = view.chosen ? [view.chosen.question.text] : [];
  lines.push(
    `${state.loss}(${state.student}, ${state.teacher}) = ${written(view.at.value)}. A step goes against the gradient: ` +
      "a score with a negative gradient rises.",
  );
  if (!takesTemperature(state.loss)) lines.push(`${state.loss} takes no temperature: it compares the scores as they are.`);
  if (data.held < data.of) lines.push(`This page holds ${data.held} of ${data.of} questions, evenly chosen.`);
  const hidden = view.chosen ? view.chosen.gold.length - drawnCells(state, view.chosen).length : 0;
  if (hidden) lines.push(`${hidden} more passages are not drawn; the numbers count them.`);
  const without = view.all.filter((row) => Number.isNaN(marginOf(row.values[state.teacher], row.gold))).length;
  if (without && !view.chosen) lines.push(`${without} questions have no margin: gold or other passages are missing.`);
  return lines;
}

// Which of one question's passages are drawn: gold ones first, then those that teacher or student rank highest.
function drawnCells(state, row) {
  const order = range(row.gold.length).sort((a, b) => rank(row.values[state.student][b]) - rank(row.values[state.student][a]));
  const place = new Map(order.map((cell, number) => [cell, number]));
  const worth = (cell) => (row.gold[cell] ? -1 : Math.min(cell, place.get(cell)));
  return range(row.gold.length).sort((a, b) => worth(a) - worth(b)).slice(0, SHOWN).sort((a, b) => a - b);
}

const rank = (value) => (Number.isNaN(value) ? -Infinity : value);

// Titles of passages, with a number where one is there twice.
function labelsOf(data, row, cells, length) {
  const titles = cells.map((cell) => data.titles[row.passages[cell]]);
  return titles.map((title, n) => {
    const again = titles.slice(0, n).filter((one) => one === title).length;
    return `${row.gold[cells[n]] ? "★ " : ""}${short(title, length)}${again ? ` (${again + 1})` : ""}`;
  });
}

// One question: a row a passage, a column a table, and last the gradient.
function passageBars(data, state, view, narrow) {
  const row = view.chosen;
  const cells = drawnCells(state, row);
  const labels = labelsOf(data, row, cells, narrow ? 14 : 26);
  const names = narrow ? view.names.slice(0, 2) : view.names;
  const shown = (name) => (state.show === "shares" ? softmax(row.values[name], heatOf(state, name)) : row.values[name]);
  const columns = names.map((name) => [narrow ? short(name, 12) : roleOf(state, name), cells.map((cell) => shown(name)[cell])]);
  const gradient = view.at.gradients[0].map((value) => (Math.abs(value) < ROUNDING ? 0 : value));
  columns.push([narrow ? "gradient" : `gradient of ${state.loss}`, cells.map((cell) => gradient[cell])]);
  const gold = cells.map((cell) => row.gold[cell]);
  const figure = barColumns(labels, columns, gold, state.show === "shares" ? columns.length - 1 : 0, narrow);
  const table = { header: ["passage", ...columns.map(([name]) => name)], words: 1 };
  table.rows = cells.map((_, n) => [labels[n], ...columns.map(([, values]) => written(values[n], 4))]);
  const title = `${state.show === "shares" ? "Shares" : "Scores"} of each passage (★ gold), in the teacher’s order`;
  return { title, figure, table, label: `${title}: ${names.join(", ")}, and the gradient` };
}

function barColumns(labels, columns, gold, shares, narrow) {
  const wide = 1 / columns.length;
  const layout = { height: 62 + 21 * labels.length, showlegend: false, annotations: [], bargap: 0.25 };
  layout.margin = { l: 10, r: 12, t: 24, b: 26 };
  const ticks = { tickvals: range(labels.length), ticktext: labels, range: [labels.length - 0.4, -0.6], showgrid: false };
  const data = columns.flatMap(([name, values], n) => {
    const axis = n ? n + 1 : "";
    const known = values.filter(Number.isFinite);
    const [low, high] = [Math.min(0, ...known), Math.max(0, ...known)];
    const room = (narrow ? 1 : 0.28) * (high - low || 1);
    layout[`xaxis${axis}`] = {
      domain: [n * wide + (n ? 0.012 : 0), (n + 1) * wide - 0.012], anchor: `y${axis}`, nticks: 4,
      range: [low - (low < 0 ? room : 0), high + (high > 0 ? room : 0)], zeroline: true, zerolinecolor: "rgba(128,128,128,.6)",
      tickformat: n < shares ? ".0%" : "", showticklabels: !narrow,
    }; // prettier-ignore
    layout[`yaxis${axis}`] = { ...ticks, anchor: `x${axis}`, showticklabels: n === 0, ticklabelstandoff: 4 };
    layout.annotations.push({
      text: short(name, 34), xref: `x${axis} domain`, yref: "paper", x: 0.5, y: 1, yanchor: "bottom", showarrow: false,
    }); // prettier-ignore
    const text = values.map((value) => (n < shares ? percent(value) : written(value, 2)));
    const x = values.map((value) => (Number.isFinite(value) ? value : 0));
    return barsOf({ x, text, gold, axes: { xaxis: `x${axis}`, yaxis: `y${axis}` } });
  });
  return { data, layout };
}

// All questions: how each table's scores (or shares) spread, gold passages apart from others.
function spread(state, view, narrow) {
  const columns = narrow ? 1 : Math.min(view.names.length, 4);
  const lines = Math.ceil(view.names.length / columns);
  const each = 165;
  const layout = { height: 44 + lines * (each + 48), annotations: [], bargap: 0, margin: { l: 10, r: 12, t: 50, b: 24 } };
  layout.legend = { y: 1 + 24 / (layout.height - 74) };
  const rows = [];
  const data = view.names.flatMap((name, number) => {
    const [line, column] = [Math.floor(number / columns), number % columns];
    const axis = number ? number + 1 : "";
    const top = 1 - line / lines;
    const domain = [column / columns + (column ? 0.02 : 0), (column + 1) / columns - 0.02];
    layout[`xaxis${axis}`] = { domain, anchor: `y${axis}`, tickformat: state.show === "shares" ? ".0%" : "", nticks: 5 };
    const high = top - (lines > 1 ? 0.1 : 0);
    layout[`yaxis${axis}`] = { domain: [top - 1 / lines + 0.08 * (lines > 1), high], anchor: `x${axis}`, tickformat: ".0%", nticks: 4 };
    layout.annotations.push({
      text: short(roleOf(state, name), 40), xref: `x${axis} domain`, yref: "paper", showarrow: false, yanchor: "bottom",
      x: 0.5, y: high,
    }); // prettier-ignore
    const { traces, spans } = histogram(state, view, name, axis, number === 0);
    rows.push(...spans.map((one) => [roleOf(state, name), ...one]));
    return traces;
  });
  const what = state.show === "shares" ? "shares" : "scores";
  const title = `How the ${what} of each table spread, over ${view.rows.length} questions`;
  const table = { header: ["table", "passages", "count", "lowest", "median", "highest"], rows, words: 2 };
  return { title, figure: { data, layout }, table };
}

function histogram(state, view, name, axis, legend) {
  const values = { gold: [], other: [] };
  for (const row of view.rows) {
    const seen = state.show === "shares" ? softmax(row.values[name], heatOf(state, name)) : row.values[name];
    seen.forEach((value, n) => Number.isFinite(value) && values[row.gold[n] ? "gold" : "other"].push(value));
  }
  const all = [...values.gold, ...values.other];
  const [low, high] = [all.reduce((a, b) => Math.min(a, b), Infinity), all.reduce((a, b) => Math.max(a, b), -Infinity)];
  const size = (high - low) / BINS || 1;
  const x = range(BINS).map((bin) => low + (bin + 0.5) * size);
  const kinds = [[values.other, lookOf(false)], [values.gold, lookOf(true)]];
  const traces = kinds.map(([scores, { name: kind, marker }]) => {
    const counts = x.map(() => 0);
    scores.forEach((value) => (counts[Math.min(BINS - 1, Math.floor((value - low) / size))] += 1));
    return {
      type: "bar", name: kind, legendgroup: kind, showlegend: legend, opacity: 0.8, marker, width: size, x,
      y: counts.map((count) => count / Math.max(1, scores.length)), xaxis: `x${axis}`, yaxis: `y${axis}`,
      hovertemplate: `%{x:.3g}: %{y:.1%} of ${kind}<extra></extra>`,
    }; // prettier-ignore
  });
  const spans = kinds.map(([scores, { name: kind }]) => {
    const sorted = [...scores].sort((a, b) => a - b);
    const at = (share) => (sorted.length ? written(sorted[Math.round(share * (sorted.length - 1))]) : "–");
    return [kind, String(sorted.length), at(0), at(0.5), at(1)];
  });
  return { traces, spans };
}

// Margins over their temperature, each table's from the highest to the lowest; the chosen question is a star.
function marginCurves(data, state, view) {
  const rows = [];
  const traces = Object.keys(data.values).map((name, number) => {
    const found = view.all.map((row) => [marginOf(row.values[name], row.gold) / heatOf(state, name), row.question.id]);
    const known = found.filter(([margin]) => !Number.isNaN(margin)).sort(([a], [b]) => b - a);
    const count = Math.min(POINTS, known.length);
    const places = [...new Set(range(count).map((n) => Math.round((n * (known.length - 1)) / Math.max(1, count - 1))))];
    const star = (place) => known[place][1] === state.question;
    places.forEach((place) => rows.push([roleOf(state, name), known[place][1], written(known[place][0], 4)]));
    return {
      type: "scatter", mode: "lines+markers", name: roleOf(state, name), cliponaxis: false,
      x: places.map((place) => (place + 0.5) / known.length), y: places.map((place) => known[place][0]),
      customdata: places.map((place) => known[place][1]), line: { color: nth(SERIES, number), dash: nth(DASHES, number) },
      marker: {
        symbol: places.map((place) => (star(place) ? "star" : nth(SYMBOLS, number))),
        size: places.map((place) => (star(place) ? 15 : 5)),
      },
      hovertemplate: `%{customdata}: margin %{y:.3g}<extra>${short(name)}</extra>`,
    }; // prettier-ignore
  });
  const layout = { height: 330, margin: { l: 10, r: 12, t: 44, b: 10 }, hovermode: "closest" };
  layout.xaxis = { title: { text: "questions, from the highest margin to the lowest" }, tickformat: ".0%", range: [0, 1] };
  layout.yaxis = { title: { text: "gold − best other" }, zeroline: true, zerolinecolor: "#7a7a7a" };
  const title = "Margins of all questions (above 0: gold on top; a click chooses)";
  return { title, figure: { data: traces, layout }, table: { header: ["table", "question", "margin"], rows, words: 2 } };
}

// The mean gradient at each place of the teacher's order, times the questions: the size of one question's.
function gradientByPlace(state, view) {
  const places = view.rows.reduce((most, row) => Math.max(most, row.gold.length), 0);
  const data = [true, false].map((kind) => {
    const { name, marker } = lookOf(kind);
    const y = range(places).map((place) => {
      const counted = (row) => row.gold[place] === kind && Number.isFinite(row.values[state.student][place]);
      const found = view.rows.map((row, n) => (counted(row) ? view.at.gradients[n][place] * view.rows.length : NaN));
      const value = mean(found);
      return Math.abs(value) < ROUNDING ? 0 : value;
    });
    const x = range(places).map((place) => place + 1);
    return { type: "bar", name, marker, x, y, hovertemplate: `place %{x}: %{y:.3g}<extra>${name}</extra>` };
  });
  const layout = { height: 330, barmode: "group", bargap: 0.25, margin: { l: 10, r: 12, t: 44, b: 10 } };
  layout.xaxis = { title: { text: "place in the teacher's order" }, dtick: places <= 25 ? 1 : 10 };
  layout.yaxis = { title: { text: `mean gradient of ${state.loss}` }, exponentformat: "power" };
  const rows = range(places).map((place) => [String(place + 1), ...data.map(({ y }) => written(y[place], 4))]);
  const table = { header: ["place", ...data.map(({ name }) => name)], rows };
  return { title: `Gradient of ${state.loss} by place in the teacher’s order`, figure: { data, layout }, table };
}

function numbers(data, state, view) {
  const at = (row) => data.questions.indexOf(row.question);
  const rows = Object.keys(data.values).map((name) => {
    const margins = view.rows.map((row) => marginOf(row.values[name], row.gold) / heatOf(state, name));
    const scored = view.rows.map((row) => row.values[name].filter((value) => !Number.isNaN(value)).length);
    const cells = view.rows.map((row) => row.gold.length);
    const total = (counts) => counts.reduce((sum, count) => sum + count, 0);
    const agreed = (place) => mean(view.rows.map((row) => agreement(data, state.teacher, name, at(row), place)));
    return [
      roleOf(state, name), percent(total(scored) / Math.max(1, total(cells))),
      written(mean(view.rows.map((row) => entropyOf(row.values[name], heatOf(state, name))))), written(mean(margins)),
      percent(mean(margins.map((margin) => (Number.isNaN(margin) ? NaN : Number(margin > 0))))),
      written(agreed(0)), written(agreed(1)), percent(agreed(2)), written(view.loss(name).value),
    ]; // prettier-ignore
  });
  const over = view.chosen ? "this question" : `means over ${view.rows.length} questions`;
  const header = [
    "table", "scored", "entropy (nats)", "margin / T", "gold on top", "Kendall", "Spearman", "top-5 overlap", state.loss,
  ]; // prettier-ignore
  const title = `Each table on the teacher’s passages: ${over}`;
  return { title, table: { caption: "", header, rows } };
}

function agreement(data, first, second, row, place) {
  const pair = data.agreements[`${first}|${second}`] ?? data.agreements[`${second}|${first}`];
  return pair[3 * row + place];
}

export default explorer(build);
