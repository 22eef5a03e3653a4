// The map of the chosen passage: one cell a layer and head; layer 0, the first, is the lowest row.

function makeMap(explorer) {
  const grid = element("div", {
    class: "ka-grid", role: "grid", tabindex: 0,
    "aria-label": "Layers and heads; arrow keys choose a cell, Escape all of them",
  });
  const parts = { grid, cells: [], labels: [], size: "" };
  const move = (layers, heads) => () => {
    const { sizes } = explorer.page;
    const { layer, head } = explorer.choice;
    const [from, at] = layer === null && head === null ? highestCell(explorer) : [layer ?? 0, head ?? 0];
    const still = layer === null || head === null; // the first press shows where one is
    const within = (value, size) => Math.min(size - 1, Math.max(0, value));
    explorer.choose({ layer: within(from + (still ? 0 : layers), sizes.layers), head: within(at + (still ? 0 : heads), sizes.heads) });
  };
  const all = () => explorer.choose({ layer: null, head: null });
  const toggle = () => (explorer.choice.layer === null || explorer.choice.head === null ? move(0, 0)() : all());
  onKeys(grid, {
    ArrowUp: move(1, 0), ArrowDown: move(-1, 0), ArrowLeft: move(0, -1), ArrowRight: move(0, 1),
    Escape: all, Enter: toggle, " ": toggle,
  });
  const of = element("p", { class: "ka-of" });
  const legend = element("p", { class: "ka-legend" });
  return {
    element: element("section", { class: "ka-panel ka-map" },
      element("div", { class: "ka-head" }, element("h4", {}, "2 · Layers and heads")), of, grid, legend),
    fill: () => fillMap(explorer, parts),
    draw: () => drawMap(explorer, parts, of, legend),
  };
}

function highestCell(explorer) {
  const { heads } = explorer.page.sizes;
  const place = byScore(explorer.drawn.map)[0];
  return [Math.floor(place / heads), place % heads];
}

function fillMap(explorer, parts) {
  const { layers, heads } = explorer.page.sizes;
  if (parts.size === `${layers} ${heads}`) return;
  parts.size = `${layers} ${heads}`;
  parts.grid.style.setProperty("--heads", heads);
  parts.grid.style.setProperty("--cell", `${Math.max(13, Math.min(30, 300 / layers))}px`);
  parts.grid.classList.toggle("ka-small", layers > 12 || heads > 12);
  parts.cells = new Array(layers * heads);
  const toggle = (change, chosen) => explorer.choose(chosen ? { layer: null, head: null } : change);
  const label = (text, change) => element("div", { class: "ka-edge", role: change.layer === null ? "columnheader" : "rowheader",
    onclick: () => toggle(change, explorer.choice.layer === change.layer && explorer.choice.head === change.head) }, text);
  const rows = Array.from({ length: layers }, (_, at) => {
    const layer = layers - 1 - at;
    const cells = Array.from({ length: heads }, (__, head) => {
      const cell = element("div", { class: "ka-cell", role: "gridcell", id: uniqueId("cell"),
        onclick: () => toggle({ layer, head }, explorer.choice.layer === layer && explorer.choice.head === head) });
      parts.cells[layer * heads + head] = cell;
      return cell;
    });
    return element("div", { role: "row" }, label(layer === 0 ? "layer 0" : String(layer), { layer, head: null }), ...cells);
  });
  const edge = Array.from({ length: heads }, (_, head) => label(String(head), { layer: null, head }));
  parts.grid.replaceChildren(...rows, element("div", { role: "row" }, element("div", { class: "ka-edge ka-corner" }, "head"), ...edge));
}

function drawMap(explorer, parts, of, legend) {
  const { page, choice } = explorer;
  const values = explorer.drawn.map;
  const [low, high] = rangeOf(values, choice.kind);
  const { heads } = page.sizes;
  const digits = digitsOf(values);
  values.forEach((value, place) => {
    const colour = cividis((value - low) / (high - low || 1));
    const [layer, head] = [Math.floor(place / heads), place % heads];
    const cell = parts.cells[place];
    cell.style.background = Number.isFinite(value) ? `rgb(${colour})` : "transparent";
    cell.style.color = inkOn(colour);
    cell.textContent = values.length <= 64 ? scoreWritten(value, digits, choice, page) : "";
    cell.title = `layer ${layer}, head ${head}: ${scoreWritten(value, null, choice, page)}`;
    cell.setAttribute("aria-label", cell.title);
    cell.setAttribute("aria-selected", (choice.layer !== null || choice.head !== null)
      && (choice.layer ?? layer) === layer && (choice.head ?? head) === head);
  });
  const chosen = choice.layer !== null && choice.head !== null ? parts.cells[choice.layer * heads + choice.head] : null;
  if (chosen) parts.grid.setAttribute("aria-activedescendant", chosen.id);
  else parts.grid.removeAttribute("aria-activedescendant");
  const passage = page.passages[passageNumber(choice, page)];
  of.textContent = `What each head gives “${passage.title || passage.id}”. `
    + (choice.layer === null && choice.head === null ? "Click one to see only it." : "Click it again for all.");
  const ends = [low, high].map((value) => scoreWritten(value, null, choice, page));
  legend.replaceChildren(ends[0], element("i", { class: "ka-scale ka-cividis" }), ends[1]);
}
