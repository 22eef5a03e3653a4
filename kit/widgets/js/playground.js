// The playground: a question, what retrievers find, what is read, and a trail of what was changed. See playground.py.

import { button, make } from "./dom.js";
import { explorer } from "./explorer.js";
import { answerLine, changesOf, effectText, lettersOf, likelyText, OWN, readList, retrievedColumns, shortTitle, truthOf } from "./playground_views.js";

const HINT = "Attention: the mean cross-attention logit at the first answer token; only differences mean something. "
  + "Leave-one-out: how much of its own answer’s log-likelihood is lost without that passage (0.7: half as likely). "
  + "Where two passages say the same, neither is missed."; // prettier-ignore

function build(app) {
  const { store } = app;
  store.also = (changes) => (["question", "k", "read_from"].some((name) => name in changes) ? { passages: null } : {});
  const pick = questionList(app);
  const read = button("Read", "read the passages as they are now", () => ((asked = true), store.listeners.forEach((one) => one())));
  app.bar.append(read);
  const answer = make("div", { class: "pg-line", "aria-live": "polite" });
  app.bar.after(answer);
  let [current, edited, asked, trail] = [null, null, false, []];
  const changed = (list) => store.set({ passages: list.map((one) => asState(one, current.retrieved)) });
  const actions = {
    add: async (id) => changed([...current.passages, await inFull(current.retrieved.passages[id])]),
    drop: (place) => changed(current.passages.filter((_, at) => at !== place)),
    move: (from, to) => {
      const list = [...current.passages];
      list.splice(to, 0, ...list.splice(from, 1));
      changed(list);
    },
    write: () => {
      const taken = new Set(current.passages.map(({ id }) => id));
      let number = 1;
      while (taken.has(`${OWN}${number}`)) number += 1;
      edited = `${OWN}${number}`;
      changed([...current.passages, { id: edited, title: "", text: "" }]);
    },
    edit: async (id) => {
      const at = current.passages.findIndex((one) => one.id === id);
      if (at >= 0) current.passages[at] = await inFull(current.passages[at]);
      edited = edited === id ? null : id;
      views.read.show(current, edited);
      app.root.querySelector(".pg-editor textarea")?.focus();
    },
    apply: (id, title, text) => {
      edited = null;
      changed(current.passages.map((one) => (one.id === id ? { ...one, title, text } : one)));
      views.read.show(current, edited);
    },
  };
  const views = { read: readList(app, actions), retrieved: retrievedColumns(app, actions) };
  const panels = {
    read: app.panel("read", { wide: true, element: views.read.element }),
    retrieved: app.panel("retrieved", { wide: true, element: views.retrieved.element }),
    trail: app.panel("trail", { kind: "table", wide: true }),
  };
  const inFull = async (passage) => (passage.cut ? { ...passage, text: (await app.ask("passage", { id: passage.id })).text, cut: false } : passage);

  return async (state) => {
    pick(state.question);
    if (!state.question.trim()) return app.say(["Type a question and press Enter."]);
    const retrieved = await app.ask("retrieved", { question: state.question, k: state.k });
    const passages = passagesOf(retrieved, state);
    const request = { question: state.question, passages: passages.map((one) => asState(one, retrieved)), leave_one_out: state.leave_one_out };
    const key = JSON.stringify(request);
    const stale = current?.key !== key && !state.at_once && !asked;
    const last = current?.question === state.question ? current : null;
    const reading = stale ? (last?.reading ?? null) : await app.ask("reading", request);
    if (state !== store.state) return null; // another came meanwhile
    asked = false;
    const ids = passages.map(({ id }) => id);
    const letters = lettersOf([...retrieved.lists.flatMap((list) => list.ids), ...ids, ...(last ? last.letters.keys() : [])]);
    const fresh = !stale && last?.key !== key && last?.reading;
    current = {
      question: state.question, retrieved, passages, letters, reading, stale, key: stale ? last?.key : key,
      readIds: stale ? (last?.readIds ?? []) : ids, before: fresh ? last.reading : last?.before, beforeIds: fresh ? last.readIds : (last?.beforeIds ?? []),
      read: stale ? last?.read : passages,
    }; // prettier-ignore
    if (!stale && last?.key !== key) {
      const what = last?.read ? changesOf(last.read, passages, letters) : `${counted(passages)} of ${state.read_from}`;
      trail = [...(last ? trail : []), [String((last ? trail.length : 0) + 1), what, reading.answer || "(nothing)", likelyText(reading.log_likelihood)]];
    }
    read.disabled = !stale;
    show(state);
    return null;
  };

  function show(state) {
    answer.replaceChildren(...answerLine(current));
    app.say([truthOf(current), HINT].filter(Boolean));
    const scrolled = document.activeElement?.closest?.(".pg-editor"); // what is being written stays
    if (!scrolled) views.read.show(current, edited);
    if (edited && !scrolled) app.root.querySelector(".pg-editor textarea")?.focus();
    views.retrieved.show(current);
    const { reading, readIds, letters, retrieved } = current;
    const rows = current.passages.map((one, at) => {
      const place = readIds.indexOf(one.id);
      return [at + 1, letters.get(one.id), one.id, one.title, one.text, effectText(reading?.attention[place]), effectText(reading?.effect[place])];
    });
    const header = ["place", "letter", "id", "title", "text", "attention score", "leave-one-out effect"];
    panels.read.show({ title: `Read, in this order: ${counted(current.passages)}`, table: { header, rows } });
    const found = retrieved.lists.flatMap((list) => list.ids.map((id, at) => [list.name, at + 1, id, shortTitle(retrieved.passages[id]), list.scores[at]]));
    panels.retrieved.show({ title: `Found by each retriever (★ states an accepted answer)`, table: { header: ["retriever", "rank", "id", "title", "score"], rows: found } });
    panels.trail.show({ title: "What was changed, and what became of the answer", table: { header: ["", "change", "answer", "probability"], rows: trail, words: 3 } });
    panels.trail.hide(trail.length < 2);
  }
}

const counted = (passages) => `${passages.length} passage${passages.length === 1 ? "" : "s"}`;

// A list of the questions on offer before the box in which one is typed.
function questionList(app) {
  const { questions } = app.data;
  const control = app.controls.get("question");
  const choose = () => select.value && app.store.set({ question: select.value });
  const held = (text) => !app.model.file || JSON.stringify(["retrieved", { question: text, k: app.store.state.k }]) in app.model.answers;
  const options = questions.filter(held).map((text) => make("option", { value: text }, text));
  const select = make("select", { "aria-label": "pick a question", change: choose }, make("option", { value: "" }, "pick a question"), options);
  if (questions.length) control.prepend(select);
  control.classList.add("pg-question");
  if (options.length < questions.length) select.title = `This page holds ${options.length} of ${questions.length} questions.`;
  return (text) => (select.value = questions.includes(text) ? text : "");
}

// The passages that are read: as found, or as the state lists them.
function passagesOf(retrieved, state) {
  const list = state.passages ?? retrieved.lists.find(({ name }) => name === state.read_from).ids;
  return list.map((one) => {
    if (typeof one === "string") return retrieved.passages[one] ?? { id: one, title: one, text: "", cut: true };
    const changed = one.id.startsWith(OWN) ? "your own" : "edited";
    return { ...one, gold: false, changed };
  });
}

// A passage as the state and Python hold it: its id, or its fields if it was changed or written here.
function asState({ id, title, text, changed, cut }, retrieved) {
  const found = retrieved.passages[id];
  const same = cut || (found && found.title === title && (found.text === text || (found.cut && !changed && text.startsWith(found.text))));
  return same || (!found && !changed && !id.startsWith(OWN)) ? id : { id, title, text };
}

export default explorer(build);
