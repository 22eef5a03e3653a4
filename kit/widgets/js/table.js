// The one table: a caption, a header whose buttons sort, words to the left and numbers to the right.

import { make } from "./dom.js";

function compared(a, b) {
  const [first, second] = [a, b].map((text) => parseFloat(String(text).replace("−", "-")));
  if (Number.isNaN(first) || Number.isNaN(second)) return String(a).localeCompare(String(b));
  return first - second;
}

// show({ caption, header, rows, words = 1 }) with rows of texts; `chosen` is the number of a row that stands out.
export function table() {
  const element = make("div", { class: "kit-table" });
  let order = null; // [column, 1 or -1]
  const show = (content) => {
    const { caption, header, rows, words = 1, chosen = -1 } = content;
    const sort = (column) => {
      order = order?.[0] === column ? (order[1] < 0 ? [column, 1] : null) : [column, -1];
      show(content);
      element.querySelectorAll("th button")[column].focus();
    };
    const numbered = rows.map((row, number) => [row, number]);
    if (order) numbered.sort(([a], [b]) => order[1] * compared(a[order[0]], b[order[0]]));
    const side = (column) => ({ class: column < words ? "" : "number" });
    const heads = header.map((name, column) => {
      const way = order?.[0] === column ? (order[1] < 0 ? "descending" : "ascending") : "none";
      return make("th", { ...side(column), scope: "col", "aria-sort": way },
        make("button", { type: "button", click: () => sort(column) }, name)); // prettier-ignore
    });
    const lines = numbered.map(([row, number]) =>
      make("tr", { class: number === chosen ? "chosen" : "" }, row.map((cell, column) => make("td", side(column), cell))),
    );
    const body = [make("thead", {}, make("tr", {}, heads)), make("tbody", {}, lines)];
    element.replaceChildren(make("table", {}, caption ? make("caption", {}, caption) : null, ...body));
  };
  return { element, show };
}
