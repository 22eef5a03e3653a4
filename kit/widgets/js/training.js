// A training while it runs and after it: its figures by step, and the scores of one question at a step of choice.
//
// app.data: { text, lines: [{ name, kind, steps, values, means, window }], watched }; watched is null or { steps, names, of,
// questions, labels (of each), gold (r, k), scores: { name: (m, r, k) }, bars: { name: (m, 2, b) }, edges: { name: (m, 2) },
// on_top: { name: (m) } }, m being the kept steps: the first is before the training.

import { barsOf, DASHES, GOLD, lookOf, nth, OTHER, SERIES, SYMBOLS } from "./chart.js";
import { button, make, percent, range, short, written } from "./dom.js";
import { explorer } from "./explorer.js";

const MOST = 20; // passages: more bars would not be read
const BEAT = 350; // ms a step, when played
const PALE = "rgba(86,180,233,.6)";
const QUIET = "rgba(110,130,150,.55)";

function build(app) {
  const panels = { loss: app.panel("loss"), shares: app.panel("shares") };
  const others = new Map(); // figures on scales of their own; an evaluation may bring one later
  const watching = app.store.controls.some(({ name }) => name === "question");
  const scrub = watching ? scrubber(app) : null;
  if (watching) {
    const go = ({ x }) => app.store.set({ moment: x });
    Object.assign(panels, { scores: app.panel("scores"), ranks: app.panel("ranks", { onClick: go }), spread: app.panel("spread", { wide: true }) });
  }
  return (state) => {
    const { text, lines, watched } = app.data;
    app.say([text]);
    const at = watching ? viewOf(watched, state) : null;
    const of = (kind) => lines.filter((line) => line.kind === kind);
    const shares = of("share");
    panels.loss.element.classList.toggle("wide", !shares.length);
    panels.loss.show(curves("Loss by step", of("loss"), at));
    panels.shares.hide(!shares.length);
    if (shares.length) panels.shares.show(curves("Shares by step", shares, at, true));
    for (const line of of("other")) {
      if (!others.has(line.name)) others.set(line.name, app.panel(`figure ${line.name}`));
      others.get(line.name).show(curves(line.name, [line], at));
    }
    if (!at) return;
    scrub.show(watched.steps, at.place);
    panels.scores.show(passageScores(at));
    panels.ranks.show(ranksByStep(at));
    panels.spread.show(spreadOfAll(at));
  };
}

// The chosen question and table at the chosen step, or at the last one.
function viewOf(watched, state) {
  const row = Math.max(0, watched.questions.indexOf(state.question));
  const name = state.table ?? watched.names[0];
  const last = watched.steps.length - 1;
  const place = state.moment === null ? last : Math.max(0, watched.steps.findLastIndex((step) => step <= state.moment));
  const width = watched.gold.shape[1];
  const rows = watched.questions.length;
  const scoresAt = (moment) => watched.scores[name].subarray((moment * rows + row) * width, (moment * rows + row + 1) * width);
  const cells = range(width).filter((cell) => Number.isFinite(scoresAt(place)[cell]));
  const gold = [...watched.gold.subarray(row * width, (row + 1) * width)].map(Boolean);
  return { watched, name, place, step: watched.steps[place], row, scoresAt, cells, gold, labels: watched.labels[row] };
}

const whenOf = (step) => (step ? `after step ${step}` : "before the training");

// A slider over the kept steps, and a button that plays them.
function scrubber(app) {
  let steps = [];
  let timer = 0;
  const go = (place) => app.store.set({ moment: place >= steps.length - 1 ? null : steps[place] });
  const moved = () => (stop(), go(Number(slider.value)));
  const slider = make("input", { type: "range", min: 0, step: 1, "aria-label": "step of the training", input: moved });
  const label = make("span", {});
  const play = button("▶", "play the training from its first step", () => (timer ? stop() : start()));
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "▶";
  };
  const start = () => {
    let place = 0;
    const next = () => {
      go(place);
      place += 1;
      if (place >= steps.length || !app.root.isConnected) stop();
    };
    timer = setInterval(next, BEAT);
    play.textContent = "■";
    next();
  };
  app.bar.append(make("div", { class: "kit-control" }, make("span", { "aria-hidden": "true" }, "step"), play, slider, label));
  const show = (kept, place) => {
    steps = kept;
    slider.max = Math.max(1, kept.length - 1);
    slider.value = place;
    label.textContent = whenOf(kept[place]);
    slider.setAttribute("aria-valuetext", label.textContent);
  };
  return { show };
}

// Lines of figures: faint values with their mean over them, or points; a line down at the chosen step.
function curves(title, lines, at, share = false) {
  const hovertemplate = "step %{x}: %{y:.4g}<extra></extra>";
  const data = lines.flatMap(({ name, steps, values, means, window }, number) => {
    const colour = share ? nth(SERIES, number) : OTHER;
    const x = [...steps];
    const shape = { dash: nth(DASHES, share ? number : 0), width: 2.5, color: colour };
    if (!means) {
      const marker = { symbol: nth(SYMBOLS, number), size: 8 };
      return [{ type: "scatter", mode: "lines+markers", name, x, y: [...values], line: shape, marker, cliponaxis: false, hovertemplate }];
    }
    const pale = { type: "scatter", mode: "lines", name: `${name} of a step`, x, y: [...values], line: { color: PALE, width: 1 }, hovertemplate };
    const mean = { type: "scatter", mode: "lines", name: `mean of the last ${window}`, x, y: [...means], line: shape, hovertemplate };
    return share ? [{ ...mean, name: `${name}, ${mean.name}` }] : [pale, mean];
  });
  const layout = { height: 235, xaxis: { title: { text: "step" }, rangemode: "tozero" }, yaxis: { nticks: 6 }, shapes: markOf(at) };
  if (share) Object.assign(layout.yaxis, { tickformat: ".0%", range: [-0.03, 1.05] });
  const rows = lines.flatMap((line) => [...line.steps].map((step, n) => [line.name, String(step), written(line.values[n], 4)]));
  return { title, figure: { data, layout }, table: { header: ["figure", "step", "value"], rows } };
}

function markOf(at) {
  if (!at) return [];
  const line = { color: "#7a7a7a", dash: "dot", width: 1.5 };
  return [{ type: "line", x0: at.step, x1: at.step, y0: 0, y1: 1, yref: "paper", line }];
}

// The question's passages in their order at this step: gold ones climb.
function passageScores(at) {
  const values = at.scoresAt(at.place);
  const order = [...at.cells].sort((a, b) => values[b] - values[a] || a - b);
  const kept = order.filter((cell, rank) => rank < MOST || at.gold[cell]);
  const known = kept.map((cell) => values[cell]);
  const all = range(at.watched.steps.length).flatMap((moment) => [...at.scoresAt(moment)]).filter(Number.isFinite);
  const [low, high] = [Math.min(0, ...all), Math.max(0, ...all)]; // one scale for all steps
  const room = 0.3 * (high - low || 1);
  const labels = kept.map((cell) => `${order.indexOf(cell) + 1} ${at.gold[cell] ? "★ " : ""}${short(at.labels[cell], 24)}`);
  const data = barsOf({ x: known, text: known.map((value) => written(value)), gold: kept.map((cell) => at.gold[cell]) });
  const layout = { height: 50 + 21 * Math.max(4, kept.length), showlegend: false, margin: { l: 10, r: 12, t: 8, b: 24 } };
  layout.xaxis = { range: [low - (low < 0 ? room : 0), high + (high > 0 ? room : 0)] };
  layout.yaxis = { tickvals: range(kept.length), ticktext: labels, range: [kept.length - 0.4, -0.6], showgrid: false };
  const rows = kept.map((cell, n) => [at.labels[cell], at.gold[cell] ? "★" : "", String(order.indexOf(cell) + 1), written(known[n], 4)]);
  const title = `Scores ${whenOf(at.step)} (★ gold): ${at.name}`;
  return { title, figure: { data, layout }, table: { header: ["passage", "gold", "rank", "score"], rows, words: 2 } };
}

// The rank of each of the question's passages by step.
function ranksByStep(at) {
  const { steps } = at.watched;
  const moments = range(steps.length);
  const ranks = moments.map((moment) => {
    const values = at.scoresAt(moment);
    return new Map([...at.cells].sort((a, b) => values[b] - values[a] || a - b).map((cell, n) => [cell, n + 1]));
  });
  const best = [...at.cells].sort((a, b) => ranks[at.place].get(a) - ranks[at.place].get(b));
  const kept = best.filter((cell, n) => n < MOST || at.gold[cell]).sort((a, b) => at.gold[a] - at.gold[b]);
  const data = kept.map((cell) => ({
    type: "scatter", mode: at.gold[cell] ? "lines+markers" : "lines", x: steps, y: moments.map((n) => ranks[n].get(cell)),
    line: at.gold[cell] ? { color: GOLD, width: 3 } : { color: QUIET, width: 1.2 }, marker: { symbol: "star", size: 9 },
    hovertemplate: `rank %{y} at step %{x}<extra>${short(at.labels[cell]).replaceAll("<", "&lt;")}</extra>`, showlegend: false, cliponaxis: false,
  })); // prettier-ignore
  const layout = { height: 50 + 21 * Math.max(4, Math.min(kept.length, MOST)), hovermode: "closest", margin: { l: 10, r: 16, t: 8, b: 10 } };
  layout.xaxis = { title: { text: "step (a click chooses)" } };
  layout.yaxis = { title: { text: "rank" }, range: [at.cells.length + 0.5, 0.5], nticks: 8 };
  layout.shapes = markOf(at);
  const rows = kept.flatMap((cell) => moments.map((n) => [at.labels[cell], at.gold[cell] ? "★" : "", String(steps[n]), String(ranks[n].get(cell))]));
  return { title: "Ranks by step (★ gold passages)", figure: { data, layout }, table: { header: ["passage", "gold", "step", "rank"], rows, words: 2 } };
}

// How the scores of all watched questions spread at this step, on one scale for all steps.
function spreadOfAll(at) {
  const { watched, name, place } = at;
  const bins = watched.bars[name].shape[2];
  const edges = watched.edges[name];
  const [from, to] = [edges[2 * place], edges[2 * place + 1]];
  const size = (to - from) / bins;
  const middles = range(bins).map((bin) => from + (bin + 0.5) * size);
  const shares = (kind) => [...watched.bars[name].subarray((2 * place + kind) * bins, (2 * place + kind + 1) * bins)];
  const data = [1, 0].map((kind) => ({
    type: "bar", ...lookOf(!kind), x: middles, y: shares(kind), width: size, opacity: 0.75,
    hovertemplate: "%{x:.3g}: %{y:.1%}<extra></extra>",
  })); // prettier-ignore
  const layout = { height: 210, bargap: 0, yaxis: { tickformat: ".0%", nticks: 4 } };
  layout.xaxis = { range: [Math.min(...edges), Math.max(...edges)], title: { text: `scores of ${name}` } };
  const rows = middles.map((middle, bin) => [written(middle), percent(shares(0)[bin], 1), percent(shares(1)[bin], 1)]);
  const onTop = percent(watched.on_top[name][place]);
  const title = `All ${watched.of} questions ${whenOf(at.step)}: a gold passage is on top in ${onTop}`;
  return { title, figure: { data, layout }, table: { header: ["score", "gold passages", "other passages"], rows } };
}

export default explorer(build);
