// Draws the figures of a page. plotly.js is in the page itself, once, compressed; nothing is fetched.

(() => {
  const CONFIG = { displaylogo: false, modeBarButtons: [["toImage"]] };
  const PAPER = 680; // pixels: about A4 or Letter
  const FIGURES = ".kit-plot > script";

  async function plotly() {
    const packed = Uint8Array.from(atob(document.getElementById("kit-plotly").textContent), (one) => one.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
    return globalThis.Plotly;
  }

  const boxOf = (script) => script.parentElement.querySelector(".kit-picture");

  // A drawing as wide as its box. Its viewBox lets paper scale it (page.css): a printer's width is known to nobody.
  function drawn(box) {
    const { width, height } = box._fullLayout;
    for (const svg of box.querySelectorAll(".main-svg")) svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  }

  function fitted(Plotly, box, width = box.clientWidth) {
    if (width && width !== box._fullLayout.width) Plotly.relayout(box, { width });
  }

  // A finger on a picture moves the page.
  async function draw(Plotly, script) {
    const { data, layout } = JSON.parse(script.textContent);
    const box = boxOf(script);
    await Plotly.newPlot(box, data, { ...layout, dragmode: false, width: box.clientWidth || undefined }, CONFIG);
    drawn(box);
    box.on("plotly_afterplot", () => drawn(box));
    return box;
  }

  async function drawAll() {
    const scripts = [...document.querySelectorAll(FIGURES)];
    try {
      const Plotly = await plotly();
      const boxes = [];
      for (const script of scripts) boxes.push(await draw(Plotly, script));
      const fit = (width) => boxes.forEach((box) => fitted(Plotly, box, width));
      const watch = new ResizeObserver(() => fit());
      boxes.forEach((box) => watch.observe(box));
      addEventListener("beforeprint", () => fit(Math.min(PAPER, document.body.clientWidth)));
      addEventListener("afterprint", () => fit());
    } catch (error) {
      for (const script of scripts) {
        boxOf(script).textContent = `The picture cannot be drawn (${error}); its numbers stand below.`;
        script.parentElement.querySelector("details").open = true;
      }
    }
  }

  addEventListener("DOMContentLoaded", drawAll);
})();
