// Sliders for the scores of one question's passages. Each row is a native range input (drag and arrow keys work in
// every front end), a number box and a check box; an SVG over the track shows the teacher's score and a step's way.

const SVG = "http://www.w3.org/2000/svg";
const REACH = 0.18; // of the track: the longest arrow

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function mark(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Where a score stands on the track, from 0 to 1; the number box takes scores beyond it.
function placeOf(score, [low, high]) {
  return Math.min(1, Math.max(0, (score - low) / (high - low)));
}

function changed(model, name, row, value) {
  const values = [...model.get(name)];
  values[row] = value;
  model.set(name, values);
  model.save_changes();
}

function rowOf(model, number) {
  const label = model.get("labels")[number];
  const name = make("span", { class: "name", title: label }, label);
  const range = make("input", { type: "range", step: "0.1", "aria-label": `score of ${label}` });
  const box = make("input", { type: "number", step: "0.1", "aria-label": `score of ${label}, exact number` });
  const check = make("input", { type: "checkbox", "aria-label": `${label} counts` });
  const drawing = mark("svg", { "aria-hidden": "true" });
  const track = make("div", { class: "track" }, range, drawing);
  const line = make("div", { class: "row" }, name, track, box, make("label", {}, check, " counts"));
  range.addEventListener("input", () => changed(model, "scores", number, Number(range.value)));
  box.addEventListener("change", () => {
    if (box.value !== "" && Number.isFinite(Number(box.value))) changed(model, "scores", number, Number(box.value));
  });
  check.addEventListener("change", () => changed(model, "counted", number, check.checked));
  return { line, range, box, check, drawing };
}

function diamond(share) {
  const shape = mark("svg", { x: `${100 * share}%`, y: "50%", overflow: "visible" });
  shape.append(mark("path", { d: "M0-13 5-8 0-3-5-8Z", fill: "#D55E00" }));
  return shape;
}

// An arrow from the thumb to where a step would go; `reach` is a share of the track, and its sign the way.
function arrow(share, reach) {
  const end = Math.min(1.02, Math.max(-0.02, share + reach));
  const line = { x1: `${100 * share}%`, x2: `${100 * end}%`, y1: "82%", y2: "82%", stroke: "#009E73" };
  const head = mark("svg", { x: `${100 * end}%`, y: "82%", overflow: "visible" });
  head.append(mark("path", { d: reach > 0 ? "M4 0-3-4-3 4Z" : "M-4 0 3-4 3 4Z", fill: "#009E73" }));
  return [mark("line", { ...line, "stroke-width": 3 }), head];
}

function draw(model, rows) {
  const [scores, bounds, push] = [model.get("scores"), model.get("bounds"), model.get("push")];
  const [teacher, counted] = [model.get("teacher"), model.get("counted")];
  const longest = Math.max(...push.map(Math.abs), 0);
  rows.forEach((row, number) => {
    const score = scores[number];
    [row.range.min, row.range.max] = bounds;
    if (Number(row.range.value) !== score) row.range.value = score;
    if (document.activeElement !== row.box || Number(row.box.value) !== score) row.box.value = Number(score.toFixed(3));
    row.check.checked = counted[number];
    row.line.classList.toggle("off", !counted[number]);
    const marks = teacher[number] === null ? [] : [diamond(placeOf(teacher[number], bounds))];
    const reach = longest > 0 ? (REACH * push[number]) / longest : 0;
    if (Math.abs(reach) > 0.002) marks.push(...arrow(placeOf(score, bounds), reach));
    row.drawing.replaceChildren(...marks);
    const said = teacher[number] === null ? "not scored by the teacher" : `teacher ${teacher[number].toFixed(2)}`;
    row.range.setAttribute("aria-valuetext", `${score.toFixed(2)}, ${said}`);
  });
}

function render({ model, el }) {
  const named = { role: "group", "aria-label": "the student’s scores" };
  const box = make("div", { class: "kit-sliders", ...named });
  const key = "● the student’s score   ◆ the teacher’s   → where a step goes (the longest arrow is the largest)";
  el.append(box);
  let rows = [];
  const build = () => {
    rows = model.get("labels").map((_, number) => rowOf(model, number));
    box.replaceChildren(make("div", { class: "key" }, key), ...rows.map((row) => row.line));
    draw(model, rows);
  };
  // New labels come with as many scores in one message; until both are here there is nothing to draw.
  const update = () => {
    if (model.get("scores").length !== model.get("labels").length) return;
    if (rows.length === model.get("labels").length) draw(model, rows);
    else build();
  };
  model.on("change:labels", build);
  const names = "change:scores change:teacher change:counted change:push change:bounds";
  model.on(names, update);
  build();
  return () => {
    model.off("change:labels", build);
    model.off(names, update);
  };
}

export default { render };
