// Page elements: made in one line, and moved through by arrow keys.

let elementCount = 0;

// element("button", {class: "x", onclick: f, "aria-label": "y"}, "text", child, ...)
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

function uniqueId(word) {
  elementCount += 1;
  return `ka-${word}-${elementCount}`;
}

function labelledSelect(label, options, onchange) {
  const select = element("select", { onchange: () => onchange(select.value) });
  fillSelect(select, options);
  return { select, element: element("label", { class: "ka-field" }, element("span", {}, label), select) };
}

// Options are [value, text], or [group, [[value, text], ...]].
function fillSelect(select, options) {
  select.replaceChildren(...options.map(([value, text]) => {
    if (!Array.isArray(text)) return element("option", { value }, text);
    return element("optgroup", { label: value }, ...text.map(([inner, name]) => element("option", { value: inner }, name)));
  }));
}

// Arrow keys as steps: {ArrowUp: -1, ...}; what is handled neither scrolls the page nor reaches the notebook.
function onKeys(target, steps) {
  target.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in steps)) return;
    event.preventDefault();
    steps[event.key](event);
  });
}

// Scroll within a box, never the page around it.
function showWithin(box, top, height) {
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + height > box.scrollTop + box.clientHeight) box.scrollTop = top + height - box.clientHeight;
}
