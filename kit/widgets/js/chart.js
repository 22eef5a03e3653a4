// The one chart: a plotly figure in the page's colours. plotly.js is loaded once a page, from the page itself or from
// Python, never from a network.

import { fromBase64, make, unzippedText } from "./dom.js";

const SHELF = "__kit_plotlyjs__"; // one promise a page
const AGAIN = 8000; // ms: the view that asked may have been removed before the answer came
const CONFIG = { responsive: false, displayModeBar: false };
const IN_PAGE = "kit-plotly"; // the id of the element that holds plotly.js in an exported page

// What a colour means, the same in every explorer: gold passages are orange, striped and starred, others blue.
export const GOLD = "#D55E00";
export const OTHER = "#0072B2";
export const STRIPES = { shape: "/", fillmode: "overlay", fgcolor: "rgba(255,255,255,.8)", size: 7, solidity: 0.35 };
export const SERIES = ["#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#0072B2", "#D55E00"];
export const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
export const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "x", "pentagon"];
const LOOKS = [
  { name: "other passages", marker: { color: OTHER } },
  { name: "★ gold passages", marker: { color: GOLD, pattern: STRIPES } },
];
export const lookOf = (gold) => LOOKS[Number(gold)];
export const nth = (choices, number) => choices[number % choices.length];

function loaded(source) {
  const module = { exports: {} };
  globalThis.__kit_module__ = module;
  // As a CommonJS module: pages with an AMD loader (Voila) would otherwise give it to that, and to nobody here.
  const text = `(function(module,exports,define){${source}\n})(__kit_module__,__kit_module__.exports,undefined)`;
  document.head.append(make("script", {}, text));
  delete globalThis.__kit_module__;
  return module.exports;
}

export function plotly(model) {
  if (globalThis.Plotly?.react) return Promise.resolve(globalThis.Plotly);
  const shelf = (globalThis[SHELF] ??= {});
  const element = document.getElementById(IN_PAGE);
  if (element) return (shelf.promise ??= unzippedText(fromBase64(element.textContent.trim())).then(loaded));
  const first = !shelf.promise;
  if (first) {
    shelf.promise = new Promise((resolve) => (shelf.resolve = resolve));
    shelf.promise.then(() => (shelf.done = true));
  }
  if (!shelf.done) askFor(model, shelf, first);
  return shelf.promise;
}

// A kernel that runs a cell does not answer: an explorer that draws meanwhile holds plotly.js in a trait.
function askFor(model, shelf, first) {
  const settle = async (bytes) => {
    const source = await unzippedText(bytes);
    if (!shelf.done) shelf.resolve(loaded(source));
  };
  const held = () => model.get("_plotly")?.byteLength && (stop(), settle(model.get("_plotly")));
  const receive = (message, buffers) => message.kind === "plotly" && (stop(), settle(buffers[0]));
  const ask = () => (shelf.done ? stop() : model.send({ kind: "plotly" }));
  const timer = setInterval(ask, AGAIN);
  const stop = () => {
    clearInterval(timer);
    model.off("msg:custom", receive);
    model.off("change:_plotly", held);
  };
  model.on("msg:custom", receive);
  model.on("change:_plotly", held);
  if (!held() && first) ask();
}

function axis(ink, grid) {
  const plain = { automargin: true, gridcolor: grid, zeroline: false, linecolor: grid, tickcolor: grid };
  return { ...plain, title: { standoff: 8, font: { size: 13 } }, tickfont: { color: ink } };
}

// The layout of a figure in these colours; axes that the figure names are completed.
function styled(layout, ink, paper = "rgba(0,0,0,0)") {
  const grid = "rgba(128,128,128,.25)";
  const axes = Object.keys(layout).filter((name) => /^[xy]axis\d*$/.test(name));
  const completed = ["xaxis", "yaxis", ...axes].map((name) => {
    const own = layout[name] ?? {};
    const base = axis(ink, grid);
    return [name, { ...base, ...own, title: { ...base.title, ...own.title } }];
  });
  const legend = { orientation: "h", x: 0, y: 1, yanchor: "bottom", font: { color: ink }, ...layout.legend };
  return {
    barmode: "overlay", dragmode: false, margin: { l: 10, r: 12, t: 34, b: 10 }, ...layout,
    ...Object.fromEntries(completed), legend, paper_bgcolor: paper, plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: ink, size: 12.5, family: "system-ui, sans-serif" }, hoverlabel: { font: { size: 13 } },
    autosize: true,
  }; // prettier-ignore
}

// Horizontal bars of passages, a trace for gold ones and one for others, first on top: { x, text, gold } of each passage.
export function barsOf({ x, text, gold, axes = {} }) {
  return [true, false].map((kind) => {
    const places = x.map((_, n) => n).filter((n) => gold[n] === kind);
    return {
      type: "bar", orientation: "h", y: places, x: places.map((n) => x[n]), text: places.map((n) => text[n]), width: 0.72,
      textposition: "outside", cliponaxis: false, hoverinfo: "skip", marker: lookOf(kind).marker, ...axes,
    }; // prettier-ignore
  });
}

// A chart in an element of its own; show({ data, layout }, label) draws, picture(format) is a promise of its address.
export function chart(model, { onClick } = {}) {
  const element = make("div", { class: "kit-chart", role: "img" });
  let figure = null;
  let engine = null;
  let gone = false;
  let waiting = 0;
  const draw = async () => {
    if (!engine || !figure || gone || !element.isConnected) return;
    if (!element.clientWidth) return; // a closed tab, a folded cell: drawn when it has a width
    const ink = getComputedStyle(element).color;
    await engine.react(element, figure.data, styled(figure.layout, ink), CONFIG);
    if (onClick && !element.listens) {
      element.listens = true;
      element.on("plotly_click", ({ points: [point] }) => point && onClick(point));
    }
  };
  const show = (next, label) => {
    figure = next;
    element.style.height = `${next.layout.height}px`;
    element.setAttribute("aria-label", label);
    clearTimeout(waiting); // a task of its own: what is cheap is painted first, and of a fast hand's pictures the last
    waiting = setTimeout(draw, 0);
  };
  plotly(model).then((found) => ((engine = found), draw()));
  let width = 0;
  const resize = () => element.clientWidth !== width && ((width = element.clientWidth), draw());
  const watch = new ResizeObserver(resize);
  watch.observe(element);
  const themes = themeWatch(draw);
  const close = () => {
    gone = true;
    watch.disconnect();
    themes();
    engine?.purge(element);
  };
  const picture = (format) => {
    const size = { width: Math.max(600, element.clientWidth), height: figure.layout.height, scale: 2 };
    const layout = styled({ ...figure.layout, width: size.width }, "#1b1f24", "#fff");
    return engine.toImage({ data: figure.data, layout }, { format, ...size });
  };
  return { element, show, close, picture };
}

// Call when the page turns light or dark; what it returns ends that.
function themeWatch(changed) {
  const later = () => setTimeout(changed, 60);
  const system = matchMedia("(prefers-color-scheme: dark)");
  system.addEventListener("change", later);
  const body = new MutationObserver(later);
  body.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "class"] });
  return () => {
    system.removeEventListener("change", later);
    body.disconnect();
  };
}
