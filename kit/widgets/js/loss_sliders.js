// Rows of sliders for one question's scores. Each row is a native range input (drag and arrow keys work everywhere), a
// number box and a check box; an SVG over the track shows the teacher's score and where a step would go.

import { make, mark, short, written } from "./dom.js";

const REACH = 0.18; // of the track: the longest arrow
const STEP = 0.1;

// Rows for these labels; `changed(row, { score, counted })` hears a hand. show({ scores, teacher, counted, push }).
export function scoreSliders(changed) {
  const key = "● student   ◆ teacher   → a step (the longest arrow is the largest)";
  const group = { class: "kit-sliders", role: "group", "aria-label": "the student’s scores" };
  const element = make("div", group);
  let rows = [];
  let bounds = null;
  let drawn = "";
  const show = ({ labels, scores, teacher, counted, push }) => {
    if (drawn !== labels.join("\n")) {
      rows = labels.map((label, number) => sliderRow(label, number, changed));
      element.replaceChildren(make("div", { class: "kit-key" }, key), ...rows.map(({ line }) => line));
      drawn = labels.join("\n");
      bounds = null;
    }
    bounds = boundsOf([...teacher, ...scores], bounds);
    const longest = Math.max(...push.map(Math.abs), 0);
    rows.forEach((row, n) => {
      const reach = longest > 0 ? (REACH * push[n]) / longest : 0;
      drawRow(row, { score: scores[n], teacher: teacher[n], counted: counted[n], reach }, bounds);
    });
  };
  return { element, show };
}

// Whole numbers with a little room around all finite values; never narrower than before: the thumb would slip away.
function boundsOf(values, before) {
  const finite = values.filter(Number.isFinite);
  const [low, high] = [Math.floor(Math.min(...finite)) - 1, Math.ceil(Math.max(...finite)) + 1];
  if (!before || high - low < 0.4 * (before[1] - before[0])) return [low, high];
  return [Math.min(low, before[0]), Math.max(high, before[1])];
}

function sliderRow(label, number, changed) {
  const range = make("input", { type: "range", step: STEP, "aria-label": `score of ${label}` });
  const box = make("input", { type: "number", step: STEP, "aria-label": `score of ${label}, exact number` });
  const check = make("input", { type: "checkbox", title: "counts", "aria-label": `${label} counts` });
  const drawing = mark("svg", { "aria-hidden": "true" });
  const track = make("div", { class: "kit-track" }, range, drawing);
  const name = make("span", { class: "kit-name", title: label }, short(label, 40));
  range.addEventListener("input", () => changed(number, { score: Number(range.value) }));
  const typed = () => box.value !== "" && Number.isFinite(Number(box.value));
  box.addEventListener("change", () => typed() && changed(number, { score: Number(box.value) }));
  check.addEventListener("change", () => changed(number, { counted: check.checked }));
  return { line: make("div", { class: "kit-slider" }, check, name, track, box), range, box, check, drawing };
}

function drawRow(row, { score, teacher, counted, reach }, [low, high]) {
  [row.range.min, row.range.max] = [low, high];
  const place = (value) => Math.min(1, Math.max(0, (value - low) / (high - low)));
  if (Number(row.range.value) !== score) row.range.value = score;
  if (document.activeElement !== row.box || Number(row.box.value) !== score) row.box.value = Number(score.toFixed(3));
  row.check.checked = counted;
  row.line.classList.toggle("off", !counted);
  const marks = Number.isFinite(teacher) ? [diamond(place(teacher))] : [];
  if (Math.abs(reach) > 0.002) marks.push(...arrow(place(score), reach));
  row.drawing.replaceChildren(...marks);
  const against = Number.isFinite(teacher) ? `teacher ${written(teacher)}` : "not scored by the teacher";
  row.range.setAttribute("aria-valuetext", `${written(score)}, ${against}`);
}

function diamond(share) {
  const shape = mark("svg", { x: `${100 * share}%`, y: "50%", overflow: "visible" });
  shape.append(mark("path", { d: "M0-12 5-7 0-2-5-7Z", class: "kit-teacher" }));
  return shape;
}

// From the thumb to where a step would go; `reach` is a share of the track, and its sign the direction.
function arrow(share, reach) {
  const end = Math.min(1.02, Math.max(-0.02, share + reach));
  const line = mark("line", { x1: `${100 * share}%`, x2: `${100 * end}%`, y1: "85%", y2: "85%", class: "kit-step" });
  const head = mark("svg", { x: `${100 * end}%`, y: "85%", overflow: "visible" });
  head.append(mark("path", { d: reach > 0 ? "M4 0-3-4-3 4Z" : "M-4 0 3-4 3 4Z", class: "kit-step" }));
  return [line, head];
}
