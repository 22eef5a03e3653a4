// The present view painted on a canvas, dark on white whatever the theme: for slides and papers.

const PAPER = { width: 1200, margin: 32, font: "15px system-ui, sans-serif", rows: 20, row: 24 };

function paintPicture(explorer) {
  const rows = Math.min(PAPER.rows, explorer.page.passages.length);
  const { layers } = explorer.page.sizes;
  const middle = 110 + Math.max(rows * PAPER.row, Math.min(480, layers * 26) + 40);
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  const height = paintWords(context, explorer, middle + 30) + PAPER.margin; // once to measure: a new size wipes it
  [canvas.width, canvas.height] = [2 * PAPER.width, 2 * height];
  context.scale(2, 2);
  context.fillStyle = "#fff";
  context.fillRect(0, 0, PAPER.width, height);
  context.textBaseline = "middle";
  paintTitle(context, explorer);
  paintBars(context, explorer, rows);
  paintMap(context, explorer);
  paintWords(context, explorer, middle + 30);
  return canvas;
}

function paintText(context, text, x, y, { width, bold, colour } = {}) {
  context.font = (bold ? "bold " : "") + PAPER.font;
  context.fillStyle = colour ?? "#1b1f24";
  let shown = text;
  while (width && shown.length > 1 && context.measureText(shown).width > width) shown = `${shown.slice(0, -2).trimEnd()}…`;
  context.fillText(shown, x, y);
  return context.measureText(shown).width;
}

function paintTitle(context, { page, choice }) {
  const width = PAPER.width - 2 * PAPER.margin;
  const said = page.answers[choice.said];
  paintText(context, page.asked, PAPER.margin, 30, { bold: true, width });
  paintText(context, `${choice.said === "given" ? "Given answer" : "Answer"}: ${said.text}`, PAPER.margin, 54, { width });
  paintText(context, sentence(choice, page), PAPER.margin, 78, { colour: "#57606a", width });
}

function paintBars(context, explorer, count) {
  const { page, choice, drawn } = explorer;
  const known = drawn.row.scores.filter(Number.isFinite);
  const base = choice.kind === "logits" ? Math.min(...known) : 0;
  const top = Math.max(...known);
  const digits = digitsOf(drawn.row.scores);
  explorer.order.slice(0, count).forEach((number, place) => {
    const y = 116 + place * PAPER.row;
    const passage = page.passages[number];
    const share = (drawn.row.scores[number] - base) / (top - base || 1);
    const length = Number.isFinite(share) ? 2 + 300 * share : 0;
    const chosen = passage.id === choice.passage;
    paintText(context, `${passage.gold ? "★ " : ""}${passage.title || passage.id}`, PAPER.margin, y, { width: 200, bold: chosen });
    context.fillStyle = passage.gold ? "#d55e00" : "#0072b2";
    context.fillRect(250, y - 8, length, 16);
    if (passage.gold) paintStripes(context, 250, y - 8, length, 16);
    paintText(context, written(drawn.row.scores[number], digits, choice.kind !== "logits"), 258 + length, y);
  });
}

function paintStripes(context, x, y, width, height) {
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.strokeStyle = "rgba(255,255,255,0.75)";
  context.lineWidth = 2;
  for (let at = x - height; at < x + width; at += 8) {
    context.beginPath();
    context.moveTo(at, y + height);
    context.lineTo(at + height, y);
    context.stroke();
  }
  context.restore();
}

function paintMap(context, { page, choice, drawn }) {
  const { layers, heads } = page.sizes;
  const [left, top] = [730, 128];
  const [wide, high] = [Math.min(60, 400 / heads), Math.min(26, 480 / layers)];
  const [low, most] = rangeOf(drawn.map, choice.kind);
  const span = most - low || 1;
  const digits = digitsOf(drawn.map);
  const passage = page.passages[passageNumber(choice, page)];
  paintText(context, `Layers (rows, 0 lowest) × heads: ${passage.title || passage.id}`, left, 110, { width: 430 });
  drawn.map.forEach((value, place) => {
    const [layer, head] = [Math.floor(place / heads), place % heads];
    const [x, y] = [left + head * wide, top + (layers - 1 - layer) * high];
    context.fillStyle = `rgb(${cividis((value - low) / span)})`;
    context.fillRect(x, y, wide - 1, high - 1);
    if (drawn.map.length <= 64) {
      const colour = inkOn(cividis((value - low) / span));
      paintText(context, written(value, digits, choice.kind !== "logits"), x + 8, y + high / 2, { width: wide - 10, colour });
    }
    const inside = (choice.layer ?? layer) === layer && (choice.head ?? head) === head;
    if (!inside || (choice.layer === null && choice.head === null)) return;
    context.strokeStyle = "#d55e00";
    context.lineWidth = 3;
    context.strokeRect(x, y, wide - 2, high - 2);
  });
  const scale = `${written(low)} (dark) to ${written(low + span)} (light)`;
  paintText(context, scale, left, top + layers * high + 14, { colour: "#57606a" });
}

function paintWords(context, explorer, top) {
  const { page, choice, store, drawn } = explorer;
  const number = passageNumber(choice, page);
  const weights = tokenWeights(drawn.text, choice.answer);
  const logits = choice.kind === "logits";
  const [low, high] = explorer.same ? [drawn.row.low, drawn.row.high] : [logits ? Math.min(...weights) : 0, Math.max(...weights)];
  const marked = new Set(byScore(weights).slice(0, MARKED));
  paintText(context, `${page.passages[number].title} [${choice.passage}]`, PAPER.margin, top, { bold: true, width: 1000 });
  let [x, y] = [PAPER.margin, top + 30];
  store.tokens[number].forEach((token, place) => {
    const text = tokenText(token);
    context.font = (marked.has(place) ? "bold " : "") + PAPER.font;
    const width = context.measureText(text).width + 6;
    if (x + width > PAPER.width - PAPER.margin) [x, y] = [PAPER.margin, y + 26];
    context.fillStyle = `rgba(230,159,0,${strengthOf(weights[place], low, high, choice.kind)})`;
    context.fillRect(x, y - 11, width, 22);
    paintText(context, text, x + 3, y, { bold: marked.has(place) });
    x += width + 2;
  });
  return y;
}
