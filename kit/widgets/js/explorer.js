// The frame of every explorer: title, tools, controls, what is said, panels. An explorer's own module gives `build`,
// which makes its panels once and returns what draws a state in them, at once or as a promise.

import { controlsFor } from "./controls.js";
import { button, download, fromBase64, make, unpacked } from "./dom.js";
import { panel } from "./panel.js";
import { asAddress, asCode, fromAddress, Store } from "./store.js";

const ASK_AGAIN = 60_000; // ms: an answer that is not there by then will not come

// What a front end renders. build(app) -> draw(state); app has data, store, model, controls (elements by name), panel(),
// say(), ask() and root.
export function explorer(build) {
  return { render: ({ model, el }) => render(build, model, el) };
}

function render(build, model, el) {
  const store = new Store(model);
  const frame = frameOf(store, model);
  el.append(frame.root);
  const closing = [() => store.close(), keepKeys(frame.root, store)];
  const app = appOf(store, model, frame, closing);
  let draw = null;
  const drawn = async () => {
    if (!draw) return;
    try {
      frame.controls.show(store.state);
      frame.tell(store);
      await draw(store.state);
      frame.fail("");
    } catch (error) {
      frame.fail(`This cannot be drawn: ${error.message}`);
      console.error(error);
    }
  };
  let waiting = 0;
  store.on(() => {
    clearTimeout(waiting);
    waiting = setTimeout(drawn, 0); // several changes at once are drawn once
  });
  const begin = async () => {
    app.data = await unpacked(model.get("_data"));
    for (const one of app.data.answers ?? []) app.ask.know(...one);
    draw ??= build(app);
    drawn();
  };
  const report = (error) => frame.fail(`This explorer cannot begin: ${error.message}`);
  const start = () => begin().catch((error) => (report(error), console.error(error)));
  model.on("change:_data", start);
  closing.push(() => model.off("change:_data", start));
  start();
  return () => closing.forEach((close) => close());
}

// The parts that are there before any data is.
function frameOf(store, model) {
  const title = make("h3", {}, model.get("_title"));
  const status = make("div", { class: "kit-said", role: "status", "aria-live": "polite" });
  const error = make("div", { class: "kit-error", role: "alert", hidden: true });
  const controls = controlsFor(store);
  const grid = make("div", { class: "kit-panels" });
  const bar = make("div", { class: "kit-controls" });
  const shown = store.controls.filter(({ label, place }) => label && !place);
  bar.append(...shown.map(({ name }) => controls.elements.get(name)));
  const root = make("div", { class: "kit-explorer", role: "region", "aria-label": model.get("_title") });
  const tools = toolsFor(store, model, root, grid);
  root.append(make("div", { class: "kit-head" }, title, tools.element), bar, status, error, grid);
  const say = (lines) => status.replaceChildren(...lines.map((line) => make("p", {}, line)));
  const fail = (text) => ((error.textContent = text), (error.hidden = !text));
  return { root, controls, grid, bar, say, fail, tools: tools.element, tell: tools.tell };
}

function appOf(store, model, frame, closing) {
  const ask = asker(model, store, frame);
  const app = { store, model, root: frame.root, bar: frame.bar, tools: frame.tools, controls: frame.controls.elements, say: frame.say, ask };
  app.panel = (name, options) => {
    const one = panel(app, name, options);
    frame.grid.append(one.element);
    closing.push(one.close);
    return one;
  };
  return app;
}

// ask(name, request) is a promise of what Python answers (or of what the exported file holds), kept for the next time;
// not kept, and after what has changed, where it is an action that Python shall take.
function asker(model, store, frame) {
  const kept = new Map();
  let number = 0;
  const askPython = (name, request) =>
    new Promise((resolve, reject) => {
      const id = `${Date.now()}-${(number += 1)}`;
      const receive = (message, buffers) => {
        if (message.id !== id) return;
        end();
        if (message.error) reject(new Error(message.error));
        else resolve(unpacked(buffers[0]));
      };
      const late = setTimeout(() => (end(), reject(new Error("the kernel does not answer"))), ASK_AGAIN);
      const end = () => {
        clearTimeout(late);
        model.off("msg:custom", receive);
      };
      model.on("msg:custom", receive);
      model.send({ kind: "ask", id, name, request });
    });
  const ask = (name, request, { action = false } = {}) => {
    if (action) {
      store.flush();
      const answer = askPython(name, request);
      busy(frame, answer);
      return answer;
    }
    const key = JSON.stringify([name, request]);
    if (!kept.has(key)) {
      const held = model.answers?.[key];
      if (model.file && !held) return Promise.reject(new Error("this page does not hold that; the notebook does"));
      const answer = held ? unpacked(fromBase64(held)) : askPython(name, request);
      busy(frame, answer);
      answer.catch(() => kept.delete(key));
      kept.set(key, answer);
    }
    return kept.get(key);
  };
  ask.know = (name, request, answer) => kept.set(JSON.stringify([name, request]), Promise.resolve(answer));
  return ask;
}

// The root says that it is busy when an answer takes longer than a blink, and what went wrong when it fails.
function busy(frame, answer) {
  const timer = setTimeout(() => frame.root.setAttribute("aria-busy", "true"), 200);
  const end = () => {
    clearTimeout(timer);
    frame.root.removeAttribute("aria-busy");
  };
  answer.then(end, (error) => {
    end();
    frame.fail(error.message);
  });
}

function toolsFor(store, model, root, grid) {
  const said = make("span", { class: "kit-copied", role: "status" });
  const copy = async (text) => {
    await copied(text);
    said.textContent = "copied";
    setTimeout(() => (said.textContent = ""), 1500);
  };
  const undo = button("↶", "undo", () => store.undo());
  const redo = button("↷", "redo", () => store.redo());
  const all = [undo, redo, button("start", "back to the start", () => store.reset())];
  if (model.file) all.push(button("link", "copy a link to this state", () => copy(model.address())));
  all.push(button("code", "copy this state as Python code", () => copy(asCode(store.controls, store.state))));
  if (!model.file) all.push(button("page", "save as a page that works alone", () => savedPage(model)));
  all.push(button("present", "fill the screen, one panel at a time", () => present(root, grid)));
  const tell = () => {
    undo.disabled = !store.past.length;
    redo.disabled = !store.future.length;
  };
  tell();
  return { element: make("div", { class: "kit-tools", role: "toolbar", "aria-label": "tools" }, said, all), tell };
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", { style: "position:fixed;opacity:0" }, text); // pages without a clipboard's right
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

function savedPage(model) {
  const receive = (message, buffers) => {
    if (message.kind !== "page") return;
    model.off("msg:custom", receive);
    download(message.name, new Blob([buffers[0]], { type: "text/html" }));
  };
  model.on("msg:custom", receive);
  model.send({ kind: "page" });
}

// A lecturer's mode: the whole screen, larger type, one panel at a time. Escape ends it.
function present(root, grid) {
  const panels = () => [...grid.children].filter((one) => !one.hidden);
  let at = 0;
  const show = (step) => {
    at = (at + step + panels().length) % panels().length;
    panels().forEach((one, number) => one.classList.toggle("kit-away", number !== at));
    place.textContent = ` ${at + 1} of ${panels().length} `;
  };
  const place = make("span", { role: "status" });
  const end = () => {
    root.classList.remove("kit-present");
    panels().forEach((one) => one.classList.remove("kit-away"));
    bar.remove();
    document.removeEventListener("keydown", keys, true);
    document.removeEventListener("fullscreenchange", left);
    if (document.fullscreenElement === root) document.exitFullscreen();
  };
  const left = () => document.fullscreenElement !== root && end();
  const keys = (event) => {
    const step = { PageDown: 1, PageUp: -1 }[event.key];
    if (event.key === "Escape") end();
    else if (step) show(step);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const arrows = [button("◀", "panel before", () => show(-1)), place, button("▶", "next panel", () => show(1))];
  const bar = make("div", { class: "kit-presenting" }, arrows, button("end", "leave the full screen", end));
  if (root.classList.contains("kit-present")) return;
  root.classList.add("kit-present");
  root.append(bar);
  document.addEventListener("keydown", keys, true);
  const filled = root.requestFullscreen?.() ?? Promise.reject();
  filled.then(() => document.addEventListener("fullscreenchange", left), () => {});
  show(0);
}

// Plain keys stay with the explorer's controls: JupyterLab and Notebook 7 would take them as their shortcuts. They leave
// alone what bears this attribute. Ctrl+Z and Ctrl+Y undo and redo, save where text is typed.
const LEAVE = "data-lm-suppress-shortcuts";

function keepKeys(root, store) {
  const listen = (event) => {
    if (!(event.target instanceof Element) || !root.contains(event.target)) return;
    const control = event.ctrlKey || event.metaKey;
    const travels = control && ["z", "y"].includes(event.key.toLowerCase()) && !typesText(event.target);
    const notebooks = control || event.altKey || event.key === "Escape" || (event.shiftKey && event.key === "Enter");
    event.target.toggleAttribute(LEAVE, travels || !notebooks);
    if (!travels) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key.toLowerCase() === "y" || event.shiftKey) store.redo();
    else store.undo();
  };
  window.addEventListener("keydown", listen, true); // before the notebook's own listener, which is the document's
  return () => window.removeEventListener("keydown", listen, true);
}

function typesText(element) {
  return element.matches("textarea, [contenteditable], input:is([type=text], [type=search], [type=number], :not([type]))");
}

// An exported page: what Python's model would hold, read from the page; its state is in the page's address.
export function openFile(widget, id) {
  const traits = JSON.parse(document.getElementById(`${id}-data`).textContent);
  traits._data = fromBase64(traits._data);
  const listeners = [];
  const number = [...document.querySelectorAll("[data-kit-file]")].findIndex((one) => one.id === id);
  const prefix = number > 0 ? `${number + 1}.` : "";
  const start = traits.state;
  const address = () => asAddress(traits._controls, traits.state, prefix, location.hash);
  const read = () => (traits.state = { ...start, ...fromAddress(traits._controls, location.hash, prefix) });
  read();
  const model = {
    file: true,
    answers: traits.answers,
    address: () => location.href.split("#")[0] + address(),
    get: (name) => traits[name],
    set: (name, value) => (traits[name] = value),
    on: (event, listener) => listeners.push([event, listener]),
    off: (event, listener) => listeners.push(...listeners.splice(0).filter(([e, l]) => e !== event || l !== listener)),
    send: () => {},
    save_changes: () => history.replaceState(null, "", address()),
  };
  window.addEventListener("hashchange", () => {
    read();
    listeners.filter(([event]) => event === "change:state").forEach(([, listener]) => listener());
  });
  widget.render({ model, el: document.getElementById(id) });
}
