// The state of an explorer: one plain object in the model's trait, with undo, redo, an address and code that sets it.

const TOGETHER = 700; // ms: changes of one name that follow so soon are undone together
const PAUSE = 120; // ms from the last change to Python's hearing of it

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

export class Store {
  constructor(model) {
    this.model = model;
    this.controls = model.get("_controls");
    this.past = [];
    this.future = [];
    this.listeners = [];
    this.also = () => ({}); // what else a change changes: an explorer may say
    this.state = { ...model.get("state") };
    this.start = Object.fromEntries(this.controls.map(({ name, value }) => [name, value]));
    this.heard = () => this.#take({ ...model.get("state") }, true);
    model.on("change:state", this.heard);
  }

  on(listener) {
    this.listeners.push(listener);
  }

  set(changes) {
    const next = { ...this.state, ...this.also(changes), ...changes };
    if (!same(next, this.state)) this.#take(next, true, Object.keys(changes).join());
  }

  undo() {
    if (this.past.length) this.#travel(this.past, this.future);
  }

  redo() {
    if (this.future.length) this.#travel(this.future, this.past);
  }

  reset() {
    this.set(this.start);
  }

  // Let Python hear of changes now.
  flush() {
    clearTimeout(this.timer);
    this.#save();
  }

  close() {
    this.flush();
    this.model.off("change:state", this.heard);
  }

  #travel(from, to) {
    to.push(this.state);
    this.last = null;
    this.#take(from.pop(), false);
  }

  #take(next, remember, names = null) {
    if (same(next, this.state)) return;
    if (remember) this.#remember(names);
    this.state = next;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#save(), PAUSE);
    for (const listener of this.listeners) listener(next);
  }

  #remember(names) {
    const now = performance.now();
    const joined = names && this.last?.names === names && now - this.last.time < TOGETHER;
    if (!joined) this.past.push(this.state);
    this.future = [];
    this.last = { names, time: now };
  }

  #save() {
    if (same(this.state, this.model.get("state"))) return;
    this.model.set("state", this.state);
    this.model.save_changes();
  }
}

function spelled(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(spelled).join(", ")}]`;
  if (typeof value === "object") {
    return `{${Object.entries(value).map(([key, one]) => `${JSON.stringify(key)}: ${spelled(one)}`).join(", ")}}`;
  }
  return JSON.stringify(value);
}

// What of a state differs from the start (or from what Python begins with), as [name, value] pairs.
function changes(controls, state, from = "value") {
  return controls.filter((one) => !same(state[one.name], one[from])).map(({ name }) => [name, state[name]]);
}

// The state as Python: explorer.set(question="q3", layer=2)
export function asCode(controls, state) {
  const told = changes(controls, state, "default").map(([name, value]) => `${name}=${spelled(value)}`);
  return `explorer.set(${told.join(", ")})`;
}

const rounded = (_, value) => (typeof value === "number" ? Number(value.toPrecision(6)) : value);

// The state as the part of an address behind #, what is as at the start left out; other explorers' parts stay.
export function asAddress(controls, state, prefix = "", hash = "") {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  controls.forEach(({ name }) => parts.delete(prefix + name));
  for (const [name, value] of changes(controls, state)) {
    parts.set(prefix + name, typeof value === "string" ? value : JSON.stringify(value, rounded));
  }
  return `#${parts}`;
}

// What an address says, as changes of the state; what a control does not take is left out.
export function fromAddress(controls, hash, prefix = "") {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const told = controls.map((control) => [control, parts.get(prefix + control.name)]).filter(([, text]) => text !== null);
  const values = told.map(([control, text]) => [control.name, understood(control, text)]);
  return Object.fromEntries(values.filter(([, value]) => value !== undefined));
}

function understood(control, text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    value = text;
  }
  if (control.kind === "choice") return control.options.find((one) => one.value === text || same(one.value, value))?.value;
  if (control.kind === "text") return text;
  if (control.kind === "number") return value >= control.low && value <= control.high ? value : undefined;
  if (control.kind === "flag") return typeof value === "boolean" ? value : undefined;
  if (control.kind === "several") {
    const options = control.options.map((option) => option.value);
    return Array.isArray(value) && value.length && value.every((one) => options.includes(one)) ? value : undefined;
  }
  return value;
}
