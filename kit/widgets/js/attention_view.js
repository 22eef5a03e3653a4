// The explorer: all views over one choice. A source brings data: the kernel in a notebook, the file in an exported page.
// source: {page(), data(), choice(), choose(choice), ask(keys), open(question), select(text), save() or null}

const PATIENCE = 5000; // milliseconds
const GUIDE = "Before each word of its answer, the reader weighs every word of every passage. Choose an answer token, then "
  + "follow its look: 1 to a passage, 2 to a layer and head, 3 to the words. Arrow keys move within each part.";

function startExplorer(root, source) {
  const explorer = { source, same: true, drawn: null, order: [], asked: {}, typing: false };
  explorer.choose = (change) => {
    explorer.typing = false;
    source.choose({ ...explorer.choice, ...forgotten(change, explorer.choice), ...change });
  };
  explorer.select = () => { explorer.typing = false; source.select(parts.selection.value); };
  explorer.open = (question) => { say(explorer, "Reading …"); root.setAttribute("aria-busy", true); source.open(question); };
  explorer.draw = () => drawExplorer(explorer, root);
  const parts = makeParts(explorer);
  explorer.parts = parts;
  root.classList.add("kit-attention");
  root.setAttribute("role", "region");
  root.setAttribute("aria-label", "Attention explorer");
  keepKeys(root);
  root.replaceChildren(...layout(parts));
  explorer.renew = () => {
    [explorer.page, explorer.choice] = [source.page(), source.choice()];
    explorer.store = newStore(explorer.page, source.data());
    [explorer.drawn, explorer.asked] = [null, {}];
    parts.asked.textContent = explorer.page.asked;
    parts.asked.hidden = explorer.page.questions.length > 1; // the choice of question says it
    for (const part of [parts.bars, parts.map]) part.fill();
    parts.controls.fill(explorer.page);
    say(explorer, "");
    explorer.draw();
  };
  explorer.changed = () => { explorer.choice = source.choice(); explorer.draw(); };
  explorer.arrived = (pieces, bytes) => { addPieces(explorer.store, pieces, asBytes(bytes)); explorer.asked = {}; explorer.draw(); };
  explorer.failed = (text) => { explorer.asked = {}; root.removeAttribute("aria-busy"); parts.controls.draw(); say(explorer, text); };
  explorer.renew();
  return explorer;
}

// Notebook 7 takes keys before the page's elements see them, unless the focused one is marked; JupyterLab after.
function keepKeys(root) {
  root.addEventListener("focusin", (event) => { event.target.dataset.lmSuppressShortcuts = "true"; });
  for (const name of ["keydown", "keyup", "keypress"]) root.addEventListener(name, (event) => event.stopPropagation());
}

// Another passage has other words: a chosen word does not outlive it.
function forgotten(change, choice) {
  return "passage" in change && change.passage !== choice.passage ? { token: null } : {};
}

function makeParts(explorer) {
  const parts = {
    asked: element("p", { class: "ka-question" }), sentence: element("p", { class: "ka-sentence", "aria-live": "polite" }),
    answer: makeAnswer(explorer), controls: makeControls(explorer), bars: makeBars(explorer), map: makeMap(explorer),
    words: makeWords(explorer), status: element("span", { class: "ka-status", role: "status" }),
  };
  parts.selection = element("input", { type: "text", spellcheck: "false", "aria-label": "Selection: what is shown, as text" });
  parts.selection.addEventListener("input", () => { explorer.typing = true; });
  onKeys(parts.selection, { Enter: () => explorer.select() });
  parts.foot = makeFoot(explorer, parts);
  return parts;
}

function layout(parts) {
  return [
    element("p", { class: "ka-guide" }, GUIDE),
    element("div", { class: "ka-opening" }, parts.controls.question, parts.asked, parts.answer.element),
    parts.controls.element, parts.sentence,
    element("div", { class: "ka-panels" }, parts.bars.element, parts.map.element, parts.words.element),
    parts.foot,
  ];
}

function makeFoot(explorer, parts) {
  const button = (text, title, onclick) => element("button", { type: "button", class: "ka-button", title, onclick }, text);
  const copied = async () => { await copyText(parts.selection); say(explorer, "Copied."); };
  const csv = () => download("attention_scores.csv", scoresAsCsv(explorer), "text/csv");
  const png = () => paintPicture(explorer).toBlob((blob) => download("attention.png", blob, "image/png"));
  const foot = element("div", { class: "ka-foot" },
    element("label", { class: "ka-field ka-selection" }, element("span", {}, "Selection"), parts.selection),
    button("Copy", "Copy the selection", copied),
    button("Show", "Show what the text describes", () => explorer.select()),
    button("CSV", "Save the scores as a table", csv), button("PNG", "Save this view as a picture", png));
  if (explorer.source.save) foot.append(button("HTML", "Save the explorer as one file", () => explorer.source.save()));
  foot.append(parts.status);
  return foot;
}

// Draw the choice, or ask for what it lacks and leave the last picture until it comes.
function drawExplorer(explorer, root) {
  const { choice, store, page, parts } = explorer;
  if (choice.question !== page.id) return; // its page is on the way
  const keys = neededKeys(choice, page);
  const missing = missingKeys(store, choice);
  if (missing.length) {
    root.setAttribute("aria-busy", true);
    ask(explorer, "needed", missing);
    return;
  }
  const [row, map, text] = keys.map((key) => store.pieces.get(key));
  explorer.drawn = { row, map, text };
  explorer.order = orderOf(choice, page, row);
  for (const part of [parts.controls, parts.answer, parts.bars, parts.map, parts.words]) part.draw();
  parts.sentence.textContent = sentence(choice, page);
  if (!explorer.typing) parts.selection.value = choiceText(choice); // never over what is being written
  root.removeAttribute("aria-busy");
  const near = neighbourKeys(store, choice, explorer.order);
  if (near.length) ask(explorer, "near", near);
}

// One request of a sort at a time: what is still missing when it is answered is asked for then. A kernel that was
// restarted never answers, so that patience ends.
function ask(explorer, sort, keys) {
  const now = Date.now();
  if (now - (explorer.asked[sort] ?? 0) < PATIENCE) return;
  explorer.asked[sort] = now;
  explorer.source.ask(keys);
}

function say(explorer, text) {
  explorer.parts.status.textContent = text;
}
