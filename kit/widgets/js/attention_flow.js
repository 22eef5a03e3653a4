// The way of an answer: passages on the left, the answer's tokens on the right, between them ribbons as wide as a
// passage's part of what a token looks at. A click on one chooses its passage and its token.

import { tokenText } from "./attention_views.js";
import { GOLD, OTHER } from "./chart.js";
import { mark, percent, range, short } from "./dom.js";

const FLOWING = 8; // passages by themselves; the others are one block
const GAP = 5; // between blocks
const BLOCK = 12; // width of a block
const LINE = 40; // height of an answer token's block

export function answerFlow(app) {
  const drawing = mark("svg", { class: "at-flow", role: "img" });
  const show = ({ held, view, order, passage }) => {
    const { tokens } = held.answers[view.request.said];
    const wide = Math.min(1100, drawing.parentElement?.clientWidth || 760);
    const [edge, right] = [Math.min(260, 0.45 * wide), wide - Math.min(150, 0.25 * wide)]; // of the blocks
    const parts = partsOf(view.scores);
    const left = order.slice(0, FLOWING).map((number) => ({ passages: [number], ...held.passages[number] }));
    const rest = order.slice(FLOWING);
    if (rest.length) left.push({ passages: rest, title: `${rest.length} other passages`, gold: false });
    const height = Math.max(LINE * tokens.length, 30 * left.length);
    const share = (block, token) => block.passages.reduce((sum, number) => sum + parts[token][number], 0);
    const sums = left.map((block) => range(tokens.length).reduce((sum, token) => sum + share(block, token), 0) / tokens.length);
    const free = height - GAP * (left.length - 1) - 12 * left.length; // each block has 12 for its title at least
    const ribbons = [];
    const blocks = [];
    const filled = tokens.map(() => 0);
    let top = 0;
    left.forEach((block, at) => {
      const room = 12 + free * sums[at];
      let from = top + (room - height * sums[at] * (free / height)) / 2;
      const chosen = block.passages.includes(passage);
      const colour = block.gold ? GOLD : OTHER;
      const choose = (answer) => () => app.store.set({ passage: held.passages[block.passages[0]].id, ...answer });
      tokens.forEach((token, answer) => {
        const part = share(block, answer);
        const [size, end] = [(free * part) / tokens.length, (height / tokens.length) * filled[answer] + (height / tokens.length) * answer];
        const high = (height / tokens.length - GAP) * part;
        const middle = (edge + right) / 2;
        const path = `M${edge} ${from} C${middle} ${from} ${middle} ${end} ${right} ${end} V${end + high} C${middle} ${end + high} ${middle} ${from + size} ${edge} ${from + size} Z`;
        const present = view.request.answer === null || view.request.answer === answer;
        const opacity = (chosen ? 0.75 : 0.3) * (present ? 1 : 0.35);
        const words = mark("title", {}, `${block.title} → ${tokenText(token)}: ${percent(part, 1)}`);
        ribbons.push(mark("path", { d: path, fill: colour, opacity, click: choose({ answer }) }, words));
        [from, filled[answer]] = [from + size, filled[answer] + part * (1 - GAP / (height / tokens.length))];
      });
      const label = `${block.gold ? "★ " : ""}${short(block.title, wide < 500 ? 14 : 26)} ${percent(sums[at])}`;
      const weight = chosen ? 700 : 400;
      const text = { x: edge - BLOCK - 6, y: top + room / 2 + 5, "text-anchor": "end", "font-weight": weight };
      blocks.push(mark("g", { click: choose({}) }, mark("rect", { x: edge - BLOCK, y: top, width: BLOCK, height: room, fill: colour, rx: 2 }),
        mark("text", { ...text, fill: "currentColor" }, label))); // prettier-ignore
      top += room + GAP;
    });
    tokens.forEach((token, answer) => {
      const y = (height / tokens.length) * answer;
      const weight = view.request.answer === answer ? 700 : 400;
      const text = { x: right + BLOCK + 6, y: y + (height / tokens.length) / 2 + 4, "font-weight": weight, fill: "currentColor" };
      const block = { x: right, y, width: BLOCK, height: height / tokens.length - GAP, fill: "#7a7a7a", rx: 2 };
      blocks.push(mark("g", { click: () => app.store.set({ answer }) }, mark("rect", block), mark("text", text, tokenText(token))));
    });
    drawing.setAttribute("viewBox", `0 -4 ${wide} ${height + 8}`);
    drawing.setAttribute("aria-label", `How much of each answer token’s attention each passage has: ${left.map(({ title }, at) => `${title} ${percent(sums[at])}`).join(", ")}`);
    drawing.replaceChildren(...ribbons, ...blocks);
  };
  const svg = () => {
    const copy = drawing.cloneNode(true);
    const [, , width, height] = drawing.getAttribute("viewBox").split(" ");
    const light = { xmlns: "http://www.w3.org/2000/svg", width, height, style: "color:#1b1f24;background:#fff", "font-family": "system-ui, sans-serif", "font-size": 14 };
    Object.entries(light).forEach(([name, value]) => copy.setAttribute(name, value));
    return new XMLSerializer().serializeToString(copy);
  };
  return { element: drawing, show, svg };
}

// Each passage's part of the scores before each answer token: they add up to 1.
export function partsOf(scores) {
  return scores.map((row) => {
    const known = [...row].map((value) => (Number.isFinite(value) ? Math.max(0, value) : 0));
    const total = known.reduce((sum, value) => sum + value, 0) || 1;
    return known.map((value) => value / total);
  });
}
