// One row a passage: its rank and bar, a strip that shows where in it the reader looks, its rank in other tables.

const ROW = 30; // pixels

function makeBars(explorer) {
  const order = labelledSelect("Order", [], (value) => explorer.choose({ order: value }));
  const columns = element("div", { class: "ka-row ka-columns", "aria-hidden": true });
  const list = element("div", {
    class: "ka-list", role: "listbox", tabindex: 0, "aria-label": "Passages, one chosen; arrow keys move",
  });
  const box = element("div", { class: "ka-scroll" }, list);
  const parts = { order, columns, list, box, rows: [], shown: null };
  const go = (to) => () => {
    const here = explorer.order.indexOf(passageNumber(explorer.choice, explorer.page));
    const place = Math.min(explorer.order.length - 1, Math.max(0, to(here)));
    explorer.choose({ passage: explorer.page.passages[explorer.order[place]].id });
  };
  onKeys(list, {
    ArrowUp: go((here) => here - 1), ArrowDown: go((here) => here + 1), Home: go(() => 0), End: go(() => Infinity),
    PageUp: go((here) => here - 10), PageDown: go((here) => here + 10),
  });
  const note = element("p", { class: "ka-note" });
  return {
    element: element("section", { class: "ka-panel ka-bars" },
      element("div", { class: "ka-head" }, element("h4", {}, "1 · Passages"), order.element),
      element("div", { class: "ka-table" }, element("div", { class: "ka-scroll ka-still" }, columns), box), note),
    fill: () => fillBars(explorer, parts),
    draw: () => drawBars(explorer, parts, note),
  };
}

function fillBars(explorer, parts) {
  const { page } = explorer;
  const names = page.others.map((other) => other.name);
  fillSelect(parts.order.select, [
    ["reader", "by the reader’s score"], ["retrieved", `as read (${page.retriever})`],
    ...names.map((name) => [name, `by ${name}`]),
  ]);
  const heads = ["", "passage", "reader’s score", "where in it", ...names];
  parts.columns.replaceChildren(...heads.map((name, place) => element("span", {
    class: ["", "", "", "ka-strip-head", "ka-other"][Math.min(place, 4)],
    title: place > 3 ? `Rank by ${name}; ▲: the reader ranks the passage higher than ${name} does` : null,
  }, name)));
  parts.box.parentElement.style.setProperty("--others", names.length);
  parts.rows = page.passages.map((passage, number) => makeRow(explorer, passage, number));
  parts.list.style.height = `${ROW * parts.rows.length}px`;
  parts.list.replaceChildren(...parts.rows.map((row) => row.element));
  parts.shown = null;
}

function makeRow(explorer, passage, number) {
  const [rank, fill, value] = [element("span", { class: "ka-rank" }), element("i"), element("b")];
  fill.className = passage.gold ? "ka-fill ka-gold" : "ka-fill";
  const strip = element("canvas", { class: "ka-strip", width: explorer.page.sizes.strip, height: 1 });
  strip.style.setProperty("--part", passage.length / explorer.page.sizes.tokens);
  const name = passage.title || passage.id;
  const title = element("span", { class: "ka-title", title: `${name} [${passage.id}]${passage.gold ? ": gold, it states the answer" : ""}` },
    ...(passage.gold ? [element("span", { class: "ka-star" }, "★ ")] : []), name, element("small", {}, ` ${passage.id}`));
  const others = explorer.page.others.map(() => element("span", { class: "ka-other" }));
  const made = element("div", {
    class: "ka-row", role: "option", id: uniqueId("row"), "aria-posinset": 1, "aria-setsize": explorer.page.passages.length,
    onclick: () => explorer.choose({ passage: explorer.page.passages[number].id }),
  }, rank, title, element("span", { class: "ka-bar" }, fill, value), strip, ...others);
  return { element: made, rank, fill, value, strip, others, name };
}

function drawBars(explorer, parts, note) {
  const { page, choice, order } = explorer;
  const { row } = explorer.drawn;
  const known = row.scores.filter(Number.isFinite);
  const base = choice.kind === "logits" ? Math.min(...known) : Math.min(0, ...known);
  const top = Math.max(...known);
  const ranks = ranksOf(row.scores);
  const digits = digitsOf(row.scores);
  parts.order.select.value = choice.order;
  const fresh = parts.shown !== row;
  order.forEach((number, place) => {
    const made = parts.rows[number];
    made.element.style.transform = `translateY(${place * ROW}px)`;
    made.element.setAttribute("aria-posinset", place + 1);
    made.element.setAttribute("aria-selected", page.passages[number].id === choice.passage);
    if (fresh) drawRow(page, made, number, row, {
      rank: ranks[number], share: (row.scores[number] - base) / (top - base || 1),
      score: scoreWritten(row.scores[number], digits, choice, page),
    });
  });
  parts.shown = row;
  const chosen = parts.rows[passageNumber(choice, page)].element;
  parts.list.setAttribute("aria-activedescendant", chosen.id);
  showWithin(parts.box, order.indexOf(passageNumber(choice, page)) * ROW, ROW);
  const start = choice.kind === "logits" ? "Logits have no zero: bars begin at the lowest. " : "";
  note.textContent = `${start}★ and stripes: a gold passage, which states the answer. ▲▼: places that the reader moves it up or down.`;
}

function drawRow(page, made, number, row, { rank, share, score }) {
  const passage = page.passages[number];
  made.rank.textContent = rank || "–";
  made.fill.style.setProperty("--share", Number.isFinite(share) ? share : 0);
  made.value.textContent = score;
  drawStrip(made.strip, row, number, page.sizes.strip);
  const words = [`rank ${rank || "none"}`, made.name, ...(passage.gold ? ["gold passage"] : []), `score ${score}`];
  page.others.forEach((other, place) => {
    const there = other.ranks[number];
    const moved = there && rank ? there - rank : 0;
    const arrow = moved > 0 ? `▲${moved}` : moved < 0 ? `▼${-moved}` : "=";
    made.others[place].replaceChildren(there ? `${there} ` : "–", element("small", {}, there && rank ? arrow : ""));
    made.others[place].title = `${other.name}: ${written(other.values[number])}`;
    words.push(`${other.name} rank ${there || "none"}`);
  });
  made.element.setAttribute("aria-label", words.join(", "));
}

// Amber on nothing, as the words are shaded: it reads on light and dark.
function drawStrip(canvas, row, number, columns) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, 1);
  for (let column = 0; column < columns; column += 1) {
    image.data.set([230, 159, 0, row.strips[number * columns + column]], 4 * column);
  }
  context.putImageData(image, 0, 0);
}
