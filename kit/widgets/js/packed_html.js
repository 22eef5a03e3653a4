// A piece of a page that comes compressed.

async function unpacked(packed) {
  if (!packed?.byteLength) return "";
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

function render({ model, el }) {
  const box = document.createElement("div");
  box.style.cssText = "color: var(--jp-content-font-color1, inherit); font-size: var(--jp-content-font-size1, 14px)";
  el.append(box);
  const show = async () => {
    const packed = model.get("_packed");
    const html = await unpacked(packed);
    if (packed === model.get("_packed")) box.innerHTML = html; // the last one that came
  };
  model.on("change:_packed", show);
  show();
  return () => model.off("change:_packed", show);
}

export default { render };
