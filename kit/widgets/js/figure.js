// One plotly figure in a page. plotly.js is not fetched from anywhere: the first view of a page asks Python for it,
// and it is kept on globalThis for all others.

const ASK = "plotly.js";
const SHELF = "__kit_plotly__"; // one promise a page
const AGAIN = 8000; // ms: the view that asked may have been removed before the answer came
const CONFIG = { responsive: true, displaylogo: false, modeBarButtons: [["toImage"]] };

async function unpack(buffer) {
  const stream = new Blob([buffer]).stream().pipeThrough(new DecompressionStream("gzip"));
  const source = await new Response(stream).text();
  const module = { exports: {} };
  // As a CommonJS module: pages with an AMD loader (Voila) would otherwise give it to that, and to nobody here.
  new Function("module", "exports", "define", source)(module, module.exports, undefined);
  return module.exports;
}

function plotly(model) {
  let shelf = globalThis[SHELF];
  const first = !shelf;
  if (first) {
    shelf = globalThis[SHELF] = {};
    shelf.promise = new Promise((resolve, reject) => Object.assign(shelf, { resolve, reject }));
    shelf.promise.then(() => (shelf.done = true));
  }
  if (shelf.done) return shelf.promise;
  const receive = (message, buffers) => {
    if (message.kind !== ASK) return;
    model.off("msg:custom", receive);
    clearInterval(timer);
    if (!shelf.done) unpack(buffers[0]).then(shelf.resolve, shelf.reject);
  };
  const ask = () => (shelf.done ? clearInterval(timer) : model.send({ kind: ASK }));
  const timer = setInterval(ask, AGAIN);
  model.on("msg:custom", receive);
  if (first) ask();
  return shelf.promise;
}

// The number of a clicked point. plotly tells a heatmap's cell as [row, column].
function numberOf(point) {
  const place = point.pointNumber ?? point.pointIndex;
  if (!Array.isArray(place)) return place;
  const row = point.data.z?.[0] ?? point.fullData.z[0];
  return place[0] * row.length + place[1];
}

function clicked(model, event) {
  const point = event.points?.[0];
  if (point) model.send({ kind: "click", trace: point.curveNumber, point: numberOf(point) });
}

// A fixed height: nothing jumps between two pictures.
const heightOf = (layout) => `${layout?.height ?? 400}px`;

async function draw(Plotly, model, box) {
  const figure = structuredClone(model.get("_figure")); // plotly writes into what it is given
  const layout = { dragmode: false, ...figure.layout, autosize: true };
  box.style.height = heightOf(layout);
  await Plotly.react(box, figure.data ?? [], layout, CONFIG);
}

function render({ model, el }) {
  const box = document.createElement("div");
  box.className = "kit-figure";
  box.setAttribute("role", "img");
  const name = () => box.setAttribute("aria-label", model.get("label") || "plot");
  box.style.height = heightOf(model.get("_figure").layout);
  let shown = null; // plotly, once it is here and the view still is
  let gone = false;
  const wait = () => shown || (box.innerHTML = model.get("_still") || "The plot is drawn when the kernel answers.");
  wait();
  name();
  el.appendChild(box);
  const change = () => shown && draw(shown, model, box);
  plotly(model)
    .then(async (Plotly) => {
      if (gone) return;
      box.textContent = "";
      shown = Plotly;
      await draw(Plotly, model, box);
      model.send({ kind: "drawn" });
      box.on("plotly_click", (event) => clicked(model, event));
    })
    .catch((error) => (box.textContent = `The plot cannot be drawn: ${error}`));
  model.on("change:_figure", change);
  model.on("change:_still", wait);
  model.on("change:label", name);
  // A view that is made hidden (a closed tab, a folded cell) has no width yet.
  const watch = new ResizeObserver(() => shown && box.clientWidth && shown.Plots.resize(box));
  watch.observe(el);
  return () => {
    gone = true;
    watch.disconnect();
    model.off("change:_figure", change);
    model.off("change:_still", wait);
    model.off("change:label", name);
    if (shown) shown.purge(box);
  };
}

export default { render };
