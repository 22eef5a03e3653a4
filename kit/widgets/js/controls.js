// Controls from declarations (kit/widgets/controls.py): native inputs, each with its name for a screen reader.

import { make } from "./dom.js";

const MANY = 25; // options: more get a box that filters them
const FEW = 3; // options: so many are radio buttons

// One element a control, and a function that shows a state in all of them.
export function controlsFor(store) {
  const made = store.controls.filter(({ label }) => label).map((control) => [control, MADE_BY[control.kind](control, store)]);
  const elements = new Map(made.map(([control, { element }]) => [control.name, element]));
  const show = (state) => made.forEach(([control, { show: one }]) => one(state[control.name]));
  show(store.state);
  return { elements, show };
}

function titled(control, ...inputs) {
  const hint = control.hint ? { title: control.hint } : {};
  return make("div", { class: "kit-control", "data-control": control.name, ...hint }, ...inputs);
}

const sameValue = (a, b) => JSON.stringify(a) === JSON.stringify(b);

function choice(control, store) {
  return control.options.length <= FEW ? radios(control, store) : dropdown(control, store);
}

let groups = 0;

function radios(control, store) {
  const group = `kit-radio-${(groups += 1)}`;
  const inputs = control.options.map(({ value }) =>
    make("input", { type: "radio", name: group, change: () => store.set({ [control.name]: value }) }),
  );
  const labels = control.options.map(({ label }, number) => make("label", {}, inputs[number], label));
  const element = titled(control, make("span", { "aria-hidden": "true" }, control.label), ...labels);
  element.setAttribute("role", "radiogroup");
  element.setAttribute("aria-label", control.label);
  const show = (value) => control.options.forEach((one, n) => (inputs[n].checked = sameValue(one.value, value)));
  return { element, show };
}

function dropdown(control, store) {
  const chosen = () => store.set({ [control.name]: control.options[Number(select.value)].value });
  const select = make("select", { "aria-label": control.label, change: chosen });
  const fill = (words = "") => {
    const wanted = words.toLowerCase();
    const numbered = control.options.map((option, number) => [option, number]);
    const current = control.options.findIndex((one) => sameValue(one.value, store.state[control.name]));
    const kept = numbered.filter(([one, n]) => n === current || one.label.toLowerCase().includes(wanted));
    select.replaceChildren(...kept.map(([{ label }, number]) => make("option", { value: number }, label)));
    select.value = current;
  };
  fill();
  const show = (value) => {
    const number = String(control.options.findIndex((one) => sameValue(one.value, value)));
    if (![...select.options].some((one) => one.value === number)) fill();
    select.value = number;
  };
  const parts = [make("span", { "aria-hidden": "true" }, control.label), select];
  if (control.options.length > MANY) {
    const attributes = { type: "search", placeholder: "filter", "aria-label": `filter ${control.label}` };
    parts.push(make("input", { ...attributes, input: (event) => fill(event.target.value) }));
  }
  return { element: titled(control, ...parts), show };
}

function number(control, store) {
  const { low, high, step, log } = control;
  const whole = Number.isInteger(step) && Number.isInteger(low) && !log;
  const set = (value) => store.set({ [control.name]: value });
  const inside = (value) => Math.min(high, Math.max(low, whole ? Math.round(value) : value));
  const bounds = log ? { min: Math.log10(low), max: Math.log10(high), step } : { min: low, max: high, step };
  const moved = () => set(log ? Number((10 ** slider.value).toPrecision(3)) : Number(slider.value));
  const slider = make("input", { type: "range", "aria-label": control.label, ...bounds, input: moved });
  const typed = () => box.value !== "" && Number.isFinite(Number(box.value)) && set(inside(Number(box.value)));
  const exact = { type: "number", "aria-label": `${control.label}, exact number`, min: low, max: high };
  const box = make("input", { ...exact, step: whole ? step : "any", change: typed });
  const show = (value) => {
    slider.value = log ? Math.log10(value) : value;
    slider.setAttribute("aria-valuetext", String(value));
    if (Number(box.value) !== value || box.value === "") box.value = value;
  };
  return { element: titled(control, make("span", { "aria-hidden": "true" }, control.label), slider, box), show };
}

function flag(control, store) {
  const change = (event) => store.set({ [control.name]: event.target.checked });
  const input = make("input", { type: "checkbox", change });
  return { element: titled(control, make("label", {}, input, control.label)), show: (value) => (input.checked = value) };
}

function text(control, store) {
  const change = (event) => store.set({ [control.name]: event.target.value });
  const input = make("input", { type: "text", "aria-label": control.label, change });
  const show = (value) => document.activeElement !== input && (input.value = value);
  return { element: titled(control, make("span", { "aria-hidden": "true" }, control.label), input), show };
}

// Some of several options, at least one: check boxes in a box that unfolds.
function several(control, store) {
  const change = () => {
    const values = control.options.filter((_, n) => inputs[n].checked).map(({ value }) => value);
    if (values.length) store.set({ [control.name]: values });
    else show(store.state[control.name]);
  };
  const inputs = control.options.map(() => make("input", { type: "checkbox", change }));
  const count = make("span", {});
  const show = (values) => {
    control.options.forEach(({ value }, n) => (inputs[n].checked = values.includes(value)));
    count.textContent = ` (${values.length})`;
  };
  const labels = control.options.map(({ label }, n) => make("label", {}, inputs[n], label));
  const box = make("div", { class: "kit-several" }, ...labels);
  return { element: titled(control, make("details", {}, make("summary", {}, control.label, count), box)), show };
}

const MADE_BY = { choice, number, flag, several, text };
