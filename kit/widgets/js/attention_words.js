// The words of the chosen passage, shaded by their weight, and one word's weight before each answer token.

const MARKED = 3; // the highest words are underlined too: not by colour alone
const FAINT = 0.04;
const NO_SPACE_BEFORE = ".,:;!?)]}%'’";

function makeWords(explorer) {
  const list = element("div", {
    class: "ka-text", role: "listbox", tabindex: 0, "aria-orientation": "horizontal",
    "aria-label": "Words of the passage; left and right go through them, up and down from strong to weak",
  });
  const parts = { list, words: [], key: "", of: element("p", { class: "ka-of" }), legend: element("p", { class: "ka-legend" }),
    detail: element("div", { class: "ka-detail", "aria-live": "polite" }) };
  const same = element("input", { type: "checkbox", onchange: () => { explorer.same = same.checked; explorer.draw(); } });
  same.checked = explorer.same;
  const step = (by) => () => explorer.choose({ token: steppedToken(explorer, by) });
  const stronger = (by) => () => explorer.choose({ token: rankedToken(explorer, by) });
  onKeys(list, {
    ArrowLeft: step(-1), ArrowRight: step(1), ArrowUp: stronger(-1), ArrowDown: stronger(1),
    Home: () => explorer.choose({ token: 0 }), End: step(Infinity), Escape: () => explorer.choose({ token: null }),
  });
  const box = element("label", { class: "ka-check", title: "Off: each passage’s own highest word is the darkest" }, same, " same shade in all passages");
  return {
    element: element("section", { class: "ka-panel ka-words" },
      element("div", { class: "ka-head" }, element("h4", {}, "3 · Words"), box), parts.of, list, parts.legend, parts.detail),
    draw: () => drawWords(explorer, parts),
  };
}

function steppedToken(explorer, by) {
  const { token } = explorer.choice;
  const { length } = explorer.page.passages[passageNumber(explorer.choice, explorer.page)];
  if (token === null) return by > 0 ? 0 : length - 1;
  return Math.min(length - 1, Math.max(0, token + by));
}

// The next word by weight: the strongest first.
function rankedToken(explorer, by) {
  const order = byScore(tokenWeights(explorer.drawn.text, explorer.choice.answer));
  if (explorer.choice.token === null) return order[0];
  const place = order.indexOf(explorer.choice.token) + by;
  return order[Math.min(order.length - 1, Math.max(0, place))];
}

function drawWords(explorer, parts) {
  const { page, choice, store } = explorer;
  const number = passageNumber(choice, page);
  const passage = page.passages[number];
  const key = `${page.question} ${number}`;
  if (parts.key !== key) fillWords(explorer, parts, store.tokens[number]);
  parts.key = key;
  const { row, text } = explorer.drawn;
  const weights = tokenWeights(text, choice.answer);
  const logits = choice.kind === "logits";
  const [low, high] = explorer.same ? [row.low, row.high] : [logits ? Math.min(...weights) : 0, Math.max(...weights)];
  const marked = new Set(byScore(weights).slice(0, MARKED).filter((place) => logits || weights[place] > 0));
  const skipped = page.aggregations[choice.aggregation].question ? 0 : page.sizes.question;
  parts.words.forEach((word, place) => {
    const strength = strengthOf(weights[place], low, high, choice.kind);
    word.style.setProperty("--strength", strength < FAINT ? 0 : strength.toFixed(3));
    word.className = `ka-word${strength >= 0.66 ? " ka-strong" : ""}${marked.has(place) ? " ka-top" : ""}`
      + `${place < skipped ? " ka-skipped" : ""}`;
    word.title = written(weights[place]);
    word.setAttribute("aria-selected", place === choice.token);
  });
  if (choice.token === null) parts.list.removeAttribute("aria-activedescendant");
  else parts.list.setAttribute("aria-activedescendant", parts.words[choice.token].id);
  parts.of.textContent = `${passage.gold ? "★ " : ""}${passage.title || passage.id} [${passage.id}], as the reader sees it. Click a word.`;
  parts.legend.replaceChildren(written(low), element("i", { class: `ka-scale ${logits ? "ka-even" : "ka-root"}` }), `${written(high)}; the ${MARKED} strongest are underlined`);
  drawDetail(explorer, parts);
}

function fillWords(explorer, parts, tokens) {
  const pieces = tokens.some((token) => token.startsWith("▁"));
  const starts = (token) => (pieces ? token.startsWith("▁") : !token.startsWith("##") && !NO_SPACE_BEFORE.includes(token));
  const asked = element("div", { class: "ka-asked-part", role: "presentation" });
  const rest = element("div", { role: "presentation" });
  parts.words = tokens.map((token, place) => {
    const box = place < explorer.page.sizes.question ? asked : rest;
    const word = element("span", { class: "ka-word", role: "option", id: uniqueId("word"),
      onclick: () => explorer.choose({ token: explorer.choice.token === place ? null : place }) }, tokenText(token));
    if (starts(token)) box.append(" ");
    box.append(word);
    return word;
  });
  parts.list.replaceChildren(asked, rest);
}

// One word's weight before each answer token: a bar each, on one scale.
function drawDetail(explorer, parts) {
  const { page, choice, store } = explorer;
  if (choice.token === null) {
    parts.detail.replaceChildren(element("p", { class: "ka-soft" }, "Choose a word to see its weight before each answer token."));
    return;
  }
  const word = tokenText(store.tokens[passageNumber(choice, page)][choice.token]);
  const values = explorer.drawn.text.map((row) => row[choice.token]);
  const base = choice.kind === "logits" ? Math.min(...explorer.drawn.text.map((row) => Math.min(...row))) : 0;
  const top = Math.max(...explorer.drawn.text.map((row) => Math.max(...row)));
  const rows = page.answers[choice.said].tokens.map((token, answer) => {
    const fill = element("i", { class: "ka-fill ka-weight" });
    fill.style.setProperty("--share", (values[answer] - base) / (top - base || 1));
    return element("div", { class: `ka-weight-row${choice.answer === answer ? " ka-now" : ""}` },
      element("span", {}, tokenText(token)), element("span", { class: "ka-bar" }, fill, element("b", {}, written(values[answer]))));
  });
  parts.detail.replaceChildren(element("p", {}, "“", element("b", {}, word), `” (token ${choice.token}) before each answer token:`), ...rows);
}
