// The index lab: recall against time with memory as size, the numbers, and the plan for a whole corpus.
//
// app.data: { measured: [{ name, spec, family, option, setting, recall, milliseconds, bytes, ... }], problems, status, done,
// busy, k, rules, sizes: { dimension: [{ spec, family, note, fixed, each }] } }. It comes anew after each index.

import { DASHES, nth, SERIES, SYMBOLS } from "./chart.js";
import { button, make, percent, written } from "./dom.js";
import { explorer } from "./explorer.js";

const [SMALLEST, LARGEST] = [9, 34]; // pixels across a point
const FAINT = 0.25;
const MEASURING = ["specs", "nprobe", "ef_search", "k", "together"];

function bytesAs(size) {
  const unit = [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]].find(([, factor]) => size >= factor);
  return unit ? `${(size / unit[1]).toFixed(1)} ${unit[0]}` : `${size} B`;
}

const timeAs = (ms) => (ms >= 1000 ? `${written(ms / 1000, 2)} s` : `${written(ms, 2)} ms`);
const thousands = (count) => Math.round(count).toLocaleString("en");

function build(app) {
  const act = (name) => () => app.ask(name, {}, { action: true });
  const measure = button("Measure", "measure these indexes", act("measure"));
  const stop = button("Stop", "stop after this index", act("stop"));
  const progress = make("progress", { max: 1, "aria-label": "measured" });
  if (!app.model.file) app.bar.append(make("div", { class: "kit-buttons" }, measure, stop, progress));
  else MEASURING.forEach((name) => (app.controls.get(name).hidden = true)); // an exported page does not measure
  const panels = {
    picture: app.panel("recall-and-time"),
    numbers: app.panel("measured", { kind: "table" }),
  };
  const planned = make("div", {});
  const plan = app.panel("plan", { wide: true, kind: "table" });
  const controls = make("div", { class: "kit-controls" }, app.controls.get("count"), app.controls.get("dimension"));
  plan.element.insertBefore(controls, plan.element.lastChild);
  plan.element.append(planned);
  return (state) => {
    const { data } = app;
    [measure.disabled, stop.disabled, progress.value] = [data.busy, !data.busy, data.done];
    progress.hidden = !data.busy;
    app.say([data.status, ...data.problems.map((problem) => `Not measured: ${problem}`)]);
    const enough = data.measured.filter((one) => one.recall >= state.least_recall);
    panels.picture.show(picture(data, state));
    panels.numbers.show(numbers(data, state, enough));
    const rows = planOf(data, state);
    plan.show(planTable(state, rows));
    planned.replaceChildren(make("p", {}, planNote(data, state, rows)));
  };
}

// The settings of a kind are points on a line, with their nprobe or efSearch beside them; those below the recall that is
// asked for are faint.
function picture(data, state) {
  const { measured } = data;
  const layout = { height: 400, margin: { l: 10, r: 12, t: 70, b: 10 }, hovermode: "closest" };
  layout.xaxis = { type: "log", dtick: "D2", exponentformat: "none", title: { text: "ms a question (a point's area: memory)" } };
  const lowest = Math.min(0.9, ...measured.map((one) => one.recall - 0.08));
  layout.yaxis = { tickformat: ".0%", title: { text: `recall@${data.k} against exact search` }, range: [lowest, 1.08] };
  if (state.least_recall) {
    layout.shapes = [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: state.least_recall, y1: state.least_recall,
      line: { color: "#7a7a7a", dash: "dot" } }]; // prettier-ignore
  }
  const largest = Math.max(1, ...measured.map((one) => one.bytes));
  const specs = [...new Set(measured.map((one) => one.spec))];
  const traces = specs.map((spec, number) => {
    const rows = measured.filter((one) => one.spec === spec).sort((a, b) => (a.setting ?? 0) - (b.setting ?? 0));
    const size = Math.max(SMALLEST, LARGEST * Math.sqrt(rows[0].bytes / largest));
    const opacity = rows.map((one) => (one.recall >= state.least_recall ? 0.8 : FAINT));
    return {
      type: "scatter", mode: "lines+markers+text", name: `${spec} · ${bytesAs(rows[0].bytes)}`, cliponaxis: false,
      x: rows.map((one) => one.milliseconds), y: rows.map((one) => one.recall),
      text: rows.map((one) => String(one.setting ?? "")), textposition: nth(["bottom right", "top left"], number),
      line: { color: nth(SERIES, number), dash: nth(DASHES, number), width: 1.5 },
      marker: { symbol: nth(SYMBOLS, number + Math.floor(number / SERIES.length)), size, color: nth(SERIES, number), opacity },
      customdata: rows.map((one) => [one.name, bytesAs(one.bytes)]),
      hovertemplate: "%{customdata[0]}: recall %{y:.1%}, %{x:.3g} ms, %{customdata[1]}<extra></extra>",
    }; // prettier-ignore
  });
  if (!measured.length) {
    const note = { text: "nothing measured yet", x: 0.5, y: 0.5, xref: "paper", yref: "paper", showarrow: false };
    Object.assign(layout, { annotations: [note], xaxis: { visible: false }, yaxis: { visible: false } });
  }
  return { title: "Recall against time, with memory as size", figure: { data: traces, layout } };
}

function numbers(data, state, enough) {
  const header = ["index", "setting", `recall@${data.k}`, "ms a question", "memory", "bytes a vector", "building"];
  const rows = enough.map((one) => [
    one.spec, one.name.slice(one.spec.length).trim() || "–", percent(one.recall, 1), written(one.milliseconds),
    bytesAs(one.bytes), (one.bytes / one.count).toFixed(0), `${written(one.build_seconds, 2)} s`,
  ]); // prettier-ignore
  const which = state.least_recall ? ` with a recall of at least ${percent(state.least_recall)}` : "";
  const title = `${enough.length} of ${data.measured.length} measured${which}`;
  return { title, table: { header, rows, words: 2 } };
}

// Each planned index with its size, and a time extrapolated from the fastest measured one of its kind that finds enough.
function planOf(data, state) {
  return data.sizes[state.dimension].map((row) => {
    const alike = data.measured.filter((one) => row.family && one.family === row.family && one.recall >= state.least_recall);
    const nearest = alike.sort((a, b) => a.milliseconds - b.milliseconds)[0];
    const time = nearest && extrapolated(nearest, row.spec, state.count, state.dimension);
    const rule = data.rules[row.family];
    return { ...row, rule, gigabytes: row.fixed + row.each * state.count, nearest, time };
  });
}

// As kit.bench.index_plan.extrapolated; a test compares them.
function extrapolated(one, spec, count, dimension) {
  const wider = dimension / one.dimension;
  if (one.family === "graph") return (one.milliseconds * wider * Math.log(Math.max(2, count))) / Math.log(Math.max(2, one.count));
  if (!one.cells) return (one.milliseconds * wider * count) / one.count;
  const share = one.setting / one.cells;
  const cells = Number(spec.match(/IVF(\d+)/)[1]);
  return (one.milliseconds * wider * (share * count + cells)) / (share * one.count + one.cells);
}

function planTable(state, rows) {
  const header = ["index", "what it is", "from", "taken to grow with dimension and", "size (computed)", "time a question (EXTRAPOLATED)"];
  const cells = rows.map(({ spec, note, gigabytes, nearest, time, rule }) => [
    spec, note, nearest ? `${nearest.name}: ${written(nearest.milliseconds)} ms, recall ${percent(nearest.recall)}` : "",
    nearest ? rule : "", `${gigabytes.toLocaleString("en", { maximumFractionDigits: 1 })} GB`, nearest ? `≈ ${timeAs(time)}` : "",
  ]); // prettier-ignore
  return { title: `Plan for ${thousands(state.count)} passages (extrapolation)`, table: { header, rows: cells, words: 4 } };
}

function planNote(data, state, rows) {
  const sizes = `${thousands(state.count)} passages, vectors of ${state.dimension}. Sizes are computed, with 8 bytes a passage for its id.`;
  const near = rows.find(({ nearest }) => nearest)?.nearest;
  if (!near) {
    const why = data.measured.length ? "No measured index finds as much as is asked for." : "Times come as soon as something is measured.";
    return `${sizes} ${why}`;
  }
  return (
    `${sizes} Times are an EXTRAPOLATION, not a measurement: ${thousands(state.count / near.count)} times the ` +
    `${thousands(near.count)} vectors that were measured, and ${written(state.dimension / near.dimension)} times their ` +
    "dimension. What fits into a processor's cache here does not there, so expect them to be too low; recall does not carry over at all."
  );
}

export default explorer(build);
