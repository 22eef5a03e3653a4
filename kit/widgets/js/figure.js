// One plotly figure in a page. plotly.js is not fetched from anywhere: the first view of a page asks Python for it,
// and it is kept on globalThis for all others.

const ASK = "plotly.js";
const SHELF = "__kit_plotly__"; // one promise a page
const AGAIN = 8000; // ms: the view that asked may have been removed before the answer came
const CONFIG = { responsive: true, displaylogo: false, modeBarButtons: [["toImage"]] };

function unpacked(buffer) {
  return new Response(new Blob([buffer]).stream().pipeThrough(new DecompressionStream("gzip")));
}

async function load(buffer) {
  const source = await unpacked(buffer).text();
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
    if (!shelf.done) load(buffers[0]).then(shelf.resolve, shelf.reject);
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

// A figure is unpacked aside, and another may have come meanwhile: the last one is drawn.
async function draw(Plotly, model, box) {
  let packed, figure;
  do {
    packed = model.get("_packed");
    figure = packed.byteLength ? await unpacked(packed).json() : {};
  } while (packed !== model.get("_packed"));
  const layout = { dragmode: false, ...figure.layout, autosize: true };
  box.style.height = `${model.get("_height")}px`;
  await Plotly.react(box, figure.data ?? [], layout, CONFIG);
}

// A fixed height: nothing jumps between two pictures. On a narrow page the picture scrolls, not the page.
function boxIn(model, el) {
  const box = document.createElement("div");
  box.className = "kit-figure";
  box.setAttribute("role", "img");
  box.style.height = `${model.get("_height")}px`;
  box.style.minWidth = `${model.get("_least_width")}px`;
  el.style.overflow = "auto hidden";
  el.append(box);
  return box;
}

function render({ model, el }) {
  const box = boxIn(model, el);
  const name = () => box.setAttribute("aria-label", model.get("label") || "plot");
  let shown = null; // plotly, once it is here and the view still is
  let gone = false;
  const wait = () => shown || (box.innerHTML = model.get("_still") || "The plot is drawn when the kernel answers.");
  wait();
  name();
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
  model.on("change:_packed", change);
  model.on("change:_still", wait);
  model.on("change:label", name);
  // A view that is made hidden (a closed tab, a folded cell) has no width yet.
  const drawn = () => box.classList.contains("js-plotly-plot");
  const watch = new ResizeObserver(() => shown && drawn() && box.clientWidth && shown.Plots.resize(box));
  watch.observe(el);
  return () => {
    gone = true;
    watch.disconnect();
    model.off("change:_packed", change);
    model.off("change:_still", wait);
    model.off("change:label", name);
    if (shown) shown.purge(box);
  };
}

export default { render };
