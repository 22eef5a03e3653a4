// A panel: a title, a view below it, and what is seen saved as a picture or a table.

import { chart } from "./chart.js";
import { csv, download, make } from "./dom.js";
import { table } from "./table.js";

// show({ title, figure, label, table }) for a chart; show({ title, table }) for a table. A panel made with an element
// of the explorer's own shows its title and keeps the table for saving; its picture is `svg()`, or its HTML in an SVG.
export function panel(app, name, { wide = false, element = null, svg = null, onClick = null, kind = "chart" } = {}) {
  const own = element !== null;
  const picture = own || kind === "table" ? null : chart(app.model, { onClick });
  const numbers = table();
  const title = make("h4", {});
  const drawn = own ? (svg ?? (() => pictureOf(app, title.textContent, element))) : null;
  const save = saveMenu(name, { picture, svg: drawn, rows: () => content?.table });
  const switcher = make("button", { type: "button", class: "kit-quiet", "aria-pressed": "false" }, "table");
  const body = make("div", { class: "kit-panel-body" }, own ? element : (picture ?? numbers).element);
  const head = make("div", { class: "kit-panel-head" }, title, picture ? switcher : null, save);
  const box = make("section", { class: `kit-panel${wide ? " wide" : ""}`, "data-panel": name }, head, body);
  let content = null;
  switcher.addEventListener("click", () => {
    const pressed = switcher.getAttribute("aria-pressed") !== "true";
    switcher.setAttribute("aria-pressed", String(pressed));
    body.replaceChildren((pressed ? numbers : picture).element);
    draw();
  });
  const draw = () => {
    const asTable = !picture || switcher.getAttribute("aria-pressed") === "true";
    if (!own && asTable && content.table) numbers.show(content.table);
    else if (picture && content.figure) picture.show(content.figure, content.label ?? content.title);
  };
  const show = (next) => {
    content = next;
    title.textContent = next.title;
    box.setAttribute("aria-label", next.title);
    switcher.hidden = !picture || !next.table;
    draw();
  };
  return { name, element: box, show, hide: (hidden) => (box.hidden = hidden), close: () => picture?.close() };
}

function saveMenu(name, { picture, svg, rows }) {
  const menu = make("details", { class: "kit-menu" }, make("summary", { title: "save what is seen" }, "save"));
  const items = make("div", {});
  const add = (label, action) => {
    const click = async () => {
      menu.open = false;
      await action();
    };
    items.append(make("button", { type: "button", click }, label));
  };
  if (picture) {
    for (const format of ["png", "svg"]) {
      add(format.toUpperCase(), async () => {
        const address = await picture.picture(format);
        download(`${name}.${format}`, await (await blobOf(address)), undefined);
      });
    }
  }
  if (svg) {
    add("SVG", () => download(`${name}.svg`, svg(), "image/svg+xml"));
    add("PNG", async () => download(`${name}.png`, await rasterised(svg())));
  }
  add("CSV", () => rows() && download(`${name}.csv`, csv(rows()), "text/csv"));
  menu.append(items);
  menu.addEventListener("focusout", (event) => !menu.contains(event.relatedTarget) && (menu.open = false));
  return menu;
}

const LIGHT = "--jp-content-font-color1:#1b1f24;--jp-content-font-color2:#57606a;--jp-layout-color0:#fff;background:#fff";

// An element as an SVG that holds it as HTML with the explorer's style, on white, in full length.
function pictureOf(app, title, element) {
  element.querySelectorAll("input").forEach((one) => one.setAttribute("value", one.value)); // what a copy shows
  const css = app.model.get("_css") ?? document.querySelector("style").textContent;
  const [width, height] = [element.clientWidth + 24, element.scrollHeight + 56];
  const page = make("div", { class: "kit-explorer kit-picture", style: LIGHT }, make("style", {}, css), make("h4", {}, title));
  page.append(element.cloneNode(true));
  const inner = new XMLSerializer().serializeToString(page);
  const open = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">`;
  return `${open}<foreignObject width="100%" height="100%">${inner}</foreignObject></svg>`;
}

// A data address as a file; without fetch, which an exported page's policy forbids.
function blobOf(address) {
  const [head, body] = address.split(/,(.*)/s);
  const type = head.match(/data:([^;,]+)/)[1];
  const bytes = head.includes("base64") ? Uint8Array.from(atob(body), (c) => c.charCodeAt(0)) : decodeURIComponent(body);
  return new Blob([bytes], { type });
}

async function rasterised(source) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(source)}`;
  await image.decode();
  const canvas = make("canvas", { width: 2 * image.width, height: 2 * image.height });
  const pen = canvas.getContext("2d");
  pen.scale(2, 2);
  pen.drawImage(image, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
