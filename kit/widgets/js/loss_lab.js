// The loss lab: a student's scores moved by hand, the gradient of each compared loss, and steps on the scores alone.
//
// app.data: { questions, labels, losses, notes: { preset: text }, starts: { preset: { teacher, student, counted } } },
// each of a start's arrays (q, k).

import { DASHES, nth, OTHER, SERIES, STRIPES } from "./chart.js";
import { button, make, range, short, written } from "./dom.js";
import { explorer } from "./explorer.js";
import { descend, grown, lossOver, softmax, takesTemperature } from "./losses.js";
import { scoreSliders } from "./loss_sliders.js";
import { addTour } from "./tour.js";

const ROW = 30; // pixels: a slider's height, and so a bar's
const TWO_COLUMNS = 860; // pixels: as in explorer.css
const RAISES = "#009E73"; // a score that a step raises, striped; as the arrows on the sliders
const LOWERS = "#CC79A7";
const TEACHER = "#E69F00";

// The scores and settings that a state names.
function labOf(data, state) {
  const row = data.questions.indexOf(state.question);
  const start = data.starts[state.preset];
  const size = start.teacher.shape[1];
  const at = (array) => [...array.subarray(row * size, (row + 1) * size)];
  const [teacher, first, usable] = [at(start.teacher), at(start.student), at(start.counted).map(Boolean)];
  const scores = state.student ?? first;
  const counted = usable.map((one, n) => (state.counted ? state.counted[n] && Number.isFinite(teacher[n]) : one));
  const heat = { student: state.temperature, teacher: state.teacher_temperature };
  return { labels: data.labels[row], teacher, scores, counted, heat, state };
}

const TOUR = [
  { at: "[data-panel=scores]", done: (state, start) => state.student !== start.student,
    text: "move a slider towards its ◆, the teacher’s score. Its arrow is where a step of the loss would take it: watch it shrink." },
  { at: "[data-control=loss]", done: (state) => state.loss === "mse",
    text: "choose the loss mse. It pulls every score to the teacher’s own value, not only to its order." },
  { at: "[data-control=preset]", done: (state) => state.preset === "student = teacher + 3",
    text: "start from “student = teacher + 3”: the same margins, three higher. mse is 9, and every arrow points down." },
  { at: "[data-control=loss]", done: (state) => ["kl", "margin_mse"].includes(state.loss),
    text: "choose kl or margin_mse: the loss is 0. They do not see a constant that is added to all scores." },
  { at: "[data-control=preset]", done: (state) => state.preset === "order reversed" && state.student !== null,
    text: "start from “order reversed”, and press “all steps”. The table of all losses says how many pairs are still wrong." },
]; // prettier-ignore

const questionOf = (lab) => ({ student: lab.scores, teacher: lab.teacher, counted: lab.counted });
const lossAt = (lab, loss) => lossOver(loss, [questionOf(lab)], lab.heat);

function pathOf(lab, loss, steps = lab.state.steps) {
  return descend(loss, questionOf(lab), lab.heat, { steps, rate: lab.state.learning_rate, optimiser: lab.state.optimiser });
}

function build(app) {
  let lab = null;
  const hand = (row, { score, counted }) => {
    const replaced = (values, value) => values.map((one, n) => (n === row ? value : one));
    if (score !== undefined) app.store.set({ student: replaced(lab.scores, score) });
    else app.store.set({ counted: replaced(lab.counted, counted) });
  };
  app.store.also = (changes) => ("question" in changes || "preset" in changes ? { student: null, counted: null } : {});
  const sliders = scoreSliders(hand);
  const steps = (count) => () => app.store.set({ student: pathOf(lab, lab.state.loss, count).scores.at(-1) });
  const buttons = make("div", { class: "kit-buttons" },
    button("one step", "take one step", steps(1)),
    button("all steps", "take all steps", () => steps(lab.state.steps)()),
    button("to the start", "back to the scores of the start", () => app.store.set({ student: null, counted: null }))); // prettier-ignore
  const panels = {
    scores: app.panel("scores", { element: make("div", {}, sliders.element, buttons) }),
    compared: app.panel("compared"),
    path: app.panel("path"),
    losses: app.panel("losses", { kind: "table" }),
  };
  addTour(app, TOUR);
  return (state) => {
    const width = app.root.clientWidth;
    lab = { ...labOf(app.data, state), width: (width >= TWO_COLUMNS ? width / 2 : width) - 100 };
    const at = lossAt(lab, state.loss);
    const after = Object.fromEntries(state.compared.map((loss) => [loss, pathOf(lab, loss)]));
    app.say(saidOf(app.data, lab, at, after));
    const push = at.gradients[0].map((one) => -one);
    sliders.show({ labels: lab.labels, scores: lab.scores, teacher: lab.teacher, counted: lab.counted, push });
    panels.scores.show({ title: `Scores, and a step of ${state.loss}`, table: scoresTable(lab, at, after) });
    panels.compared.show(state.view === "gradient" ? gradients(lab) : moved(lab, after));
    panels.path.show(pathPanel(lab, pathOf(lab, state.loss)));
    panels.losses.show(lossesTable(app.data, lab, after));
  };
}

function saidOf(data, lab, at, after) {
  const { loss, preset } = lab.state;
  const lines = [data.notes[preset], `${loss} = ${written(at.value)}. A step goes against the gradient.`];
  if (!takesTemperature(loss)) lines[1] += ` ${loss} takes no temperature: it compares the scores as they are.`;
  const away = Object.keys(after).filter((name) => grown(after[name]));
  if (away.length) {
    lines.push(`Under ${away.join(", ")} the loss has grown: the steps are too long, take a smaller learning rate.`);
  }
  return lines;
}

function scoresTable(lab, at, after) {
  const header = ["passage", "teacher", "student", `gradient of ${lab.state.loss}`, ...Object.keys(after).map((l) => `after ${l}`)];
  const rows = lab.labels.map((label, n) => [
    label, written(lab.teacher[n], 4), written(lab.scores[n], 4), written(at.gradients[0][n], 4),
    ...Object.values(after).map(({ scores }) => written(scores.at(-1)[n], 4)),
  ]); // prettier-ignore
  return { header, rows };
}

const broken = (loss) => loss.replace("_", "<br>");

// A column a loss, a row a passage, as high as the sliders' rows beside them.
function columns(lab, titles, spanOf, tracesOf) {
  const wide = 1 / titles.length;
  const rows = lab.labels.length;
  const layout = { height: ROW * rows + 90, showlegend: false, annotations: [], margin: { l: 4, r: 8, t: 64, b: 26 } };
  const data = titles.flatMap((title, n) => {
    const axis = n ? n + 1 : "";
    layout[`xaxis${axis}`] = {
      domain: [n * wide + (n ? 0.01 : 0), (n + 1) * wide - 0.01], anchor: `y${axis}`, range: spanOf(n), nticks: 3,
      zeroline: true, zerolinecolor: "rgba(128,128,128,.6)", tickformat: ".2~g", tickangle: 0, showticklabels: lab.width / titles.length > 72,
    }; // prettier-ignore
    const names = n === 0 ? { tickvals: range(rows), ticktext: lab.labels.map((label) => short(label, 12)) } : { showticklabels: false };
    layout[`yaxis${axis}`] = { ...names, range: [rows - 0.5, -0.5], anchor: `x${axis}`, showgrid: false };
    layout.annotations.push({
      text: title, xref: `x${axis} domain`, yref: "paper", x: 0.5, y: 1, yanchor: "bottom", showarrow: false,
      font: { size: 11.5 },
    }); // prettier-ignore
    return tracesOf(n, { xaxis: `x${axis}`, yaxis: `y${axis}` });
  });
  return { data, layout };
}

function gradients(lab) {
  const losses = lab.state.compared;
  const found = losses.map((loss) => lossAt(lab, loss));
  const far = (n) => 1.1 * Math.max(...found[n].gradients[0].map(Math.abs)) || 1;
  const bars = (n, axes) =>
    [true, false].map((raises) => {
      const rows = range(lab.labels.length).filter((row) => (found[n].gradients[0][row] < 0) === raises);
      return {
        type: "bar", orientation: "h", y: rows, x: rows.map((row) => found[n].gradients[0][row]), width: 0.6, ...axes,
        marker: raises ? { color: RAISES, pattern: STRIPES } : { color: LOWERS },
        customdata: rows.map((row) => lab.labels[row]), hovertemplate: "%{customdata}: %{x:.4g}<extra></extra>",
      }; // prettier-ignore
    });
  const titles = found.map((at, n) => `${broken(losses[n])}<br>${written(at.value)}`);
  const rows = lab.labels.map((label, row) => [label, ...found.map((at) => written(at.gradients[0][row], 4))]);
  const title = "Gradients (striped, to the left: a step raises the score)";
  return { title, figure: columns(lab, titles, (n) => [-far(n), far(n)], bars), table: { header: ["passage", ...losses], rows } };
}

// Scores as a view shows them; NaN where a passage does not count.
function seenAs(view, scores, counted, temperature) {
  const kept = scores.map((score, n) => (counted[n] ? score : NaN));
  if (view === "probabilities") return softmax(kept, temperature);
  if (view === "scores") return kept;
  const finite = kept.filter(Number.isFinite);
  const middle = finite.reduce((sum, score) => sum + score, 0) / finite.length;
  return kept.map((score) => score - middle);
}

// Each passage's way from the start to after the steps, and the teacher's score.
function moved(lab, after) {
  const { view, steps } = lab.state;
  const rows = range(lab.labels.length).filter((row) => lab.counted[row]);
  const teacher = seenAs(view, lab.teacher, lab.counted, lab.heat.teacher);
  const ways = Object.values(after).map(({ scores }) =>
    [scores[0], scores.at(-1)].map((one) => seenAs(view, one, lab.counted, lab.heat.student)),
  );
  const near = [...teacher, ...ways.flatMap(([start]) => start)].filter(Number.isFinite);
  const ends = Object.values(after).flatMap((path, n) => (grown(path) ? [] : ways[n][1])).filter(Number.isFinite);
  const [low, high] = [Math.min(...near, ...ends), Math.max(...near, ...ends)];
  const room = 0.08 * (high - low || 1);
  const dots = (n, axes) => {
    const [start, end] = ways[n];
    const line = rows.flatMap((row) => [start[row], end[row], null]);
    const mark = (name, values, marker) => ({
      type: "scatter", mode: "markers", name, x: rows.map((row) => values[row]), y: rows, marker, ...axes,
      customdata: rows.map((row) => lab.labels[row]), hovertemplate: `%{customdata}: %{x:.4g}<extra>${name}</extra>`,
    }); // prettier-ignore
    return [
      { type: "scatter", mode: "lines", x: line, y: rows.flatMap((row) => [row, row, null]), hoverinfo: "skip",
        line: { color: OTHER, width: 3 }, ...axes }, // prettier-ignore
      mark("teacher", teacher, { symbol: "diamond", color: TEACHER, size: 11 }),
      mark("start", start, { symbol: "circle-open", color: OTHER, size: 8, line: { width: 2 } }),
      mark("after the steps", end, { symbol: "circle", color: OTHER, size: 8 }),
    ];
  };
  const names = Object.keys(after);
  const fromTo = (loss) => [0, -1].map((place) => written(after[loss].losses.at(place), 2));
  const titles = names.map((loss) => `${broken(loss)}<br>${fromTo(loss).join("<br>→ ")}`);
  const cells = lab.labels.map((label, row) => [label, written(teacher[row], 4), ...ways.map(([, end]) => written(end[row], 4))]);
  const title = `${view[0].toUpperCase()}${view.slice(1)} after ${steps} steps (◆ teacher, ○ start, ● after)`;
  const figure = columns(lab, titles, () => [low - room, high + room], dots);
  return { title, figure, table: { header: ["passage", "teacher", ...names], rows: cells } };
}

function pathPanel(lab, path) {
  const { loss } = lab.state;
  const steps = range(path.losses.length);
  const hover = { hovertemplate: "step %{x}: %{y:.4g}" };
  const rows = range(lab.labels.length).filter((row) => lab.counted[row]);
  const traces = rows.map((row, n) => ({
    type: "scatter", mode: "lines", x: steps, y: path.scores.map((scores) => scores[row]), name: short(lab.labels[row], 18),
    line: { color: nth(SERIES, n), dash: nth(DASHES, n + Math.floor(n / SERIES.length)), width: 2 }, ...hover,
  })); // prettier-ignore
  traces.push({ type: "scatter", mode: "lines", x: steps, y: path.losses, name: loss, showlegend: false, xaxis: "x", yaxis: "y2",
    line: { color: "#7a7a7a", width: 2.5 }, ...hover }); // prettier-ignore
  const layout = { height: 320, margin: { l: 10, r: 10, t: 10, b: 10 }, xaxis: { title: { text: "step" }, anchor: "y2" } };
  layout.yaxis = { domain: [0.42, 1], title: { text: "score" } };
  layout.yaxis2 = { domain: [0, 0.34], title: { text: loss }, rangemode: "tozero" };
  layout.legend = { orientation: "v", x: 1.02, y: 1, yanchor: "top" };
  const header = ["step", loss, ...rows.map((row) => lab.labels[row])];
  const cells = steps.map((step) => [String(step), written(path.losses[step], 4), ...rows.map((row) => written(path.scores[step][row], 4))]);
  return { title: `The way of the scores under ${loss}, step by step`, figure: { data: traces, layout }, table: { header, rows: cells } };
}

// Pairs of counted passages that the scores put in another order than the teacher (its ties are no pairs).
function wrongPairs(scores, lab) {
  const rows = range(scores.length).filter((row) => lab.counted[row]);
  return rows.flatMap((a) => rows.filter((b) => lab.teacher[a] > lab.teacher[b] && scores[a] <= scores[b])).length;
}

function lossesTable(data, lab, after) {
  const { steps, optimiser, learning_rate: rate } = lab.state;
  const rows = data.losses.map((loss) => {
    const at = lossAt(lab, loss);
    const end = after[loss];
    const ended = end ? [written(end.losses.at(-1)), String(wrongPairs(end.scores.at(-1), lab))] : ["–", "–"];
    return [loss, written(at.value), written(Math.hypot(...at.gradients[0])), ...ended];
  });
  const header = ["loss", "now", "length of gradient", `after ${steps} steps`, "pairs in the wrong order"];
  const chosen = data.losses.indexOf(lab.state.loss);
  return { title: `Each loss (${optimiser}, learning rate ${written(rate)})`, table: { header, rows, chosen } };
}

export default explorer(build);
