// Plain keys for the controls of a box. JupyterLab and Notebook 7 listen before a control does: an arrow key in a
// dropdown would move to another cell and take the focus along. They leave alone what bears this attribute.

const ROOT = ".kit-own-keys";
const LEAVE = "data-lm-suppress-shortcuts";

function forNotebook(event) {
  const together = event.ctrlKey || event.metaKey || event.altKey;
  return together || event.key === "Escape" || (event.shiftKey && event.key === "Enter");
}

function render({ el }) {
  el.style.display = "none";
  const listen = (event) => {
    const inside = event.target instanceof Element && el.closest(ROOT)?.contains(event.target);
    if (inside) event.target.toggleAttribute(LEAVE, !forNotebook(event));
  };
  window.addEventListener("keydown", listen, true); // before the notebook's own listener, which is the document's
  return () => window.removeEventListener("keydown", listen, true);
}

export default { render };
