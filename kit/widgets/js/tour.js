// A guided tour: each step points at a part, asks for one action, notices that it was done, and goes on.

import { button, make } from "./dom.js";

const LINGER = 1200; // ms that "done" stands before the next step comes

// Adds a button to the explorer's tools. A step is { at: a selector, text, done: (state, state at its start) => boolean }.
export function addTour(app, steps) {
  const text = make("p", { role: "status", "aria-live": "polite" });
  const skip = button("skip", "skip this step", () => go(at + 1));
  const leave = button("leave", "leave the tour", () => go(steps.length));
  const box = make("div", { class: "kit-tour", hidden: true }, text, make("div", { class: "kit-buttons" }, skip, leave));
  let at = steps.length;
  let start = null;
  let timer = 0;
  const go = (next) => {
    clearTimeout(timer);
    at = next;
    start = app.store.state;
    const step = steps[at];
    app.root.querySelectorAll(".kit-pointed").forEach((one) => one.classList.remove("kit-pointed"));
    if (!step) box.hidden = true;
    if (!step) return opener.focus();
    box.hidden = false;
    text.textContent = `Step ${at + 1} of ${steps.length}: ${step.text}`;
    const target = app.root.querySelector(step.at);
    target?.classList.add("kit-pointed");
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    target?.scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" });
    return null;
  };
  const opener = button("tour", "begin the guided tour", () => go(0));
  app.tools.insertBefore(opener, app.tools.lastChild);
  app.bar.before(box);
  app.store.on((state) => {
    if (!steps[at]?.done(state, start)) return;
    text.textContent = at + 1 < steps.length ? "✓ done" : "✓ done: that was the tour";
    clearTimeout(timer);
    timer = setTimeout(() => go(at + 1), LINGER);
  });
}
