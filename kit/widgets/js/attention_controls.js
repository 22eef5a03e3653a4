// The choices that are not clicks on a picture: question, aggregation, kind, layer, head.

function makeControls(explorer) {
  const number = (value) => (value === "all" ? null : Number(value));
  const question = labelledSelect("Question", [], (value) => explorer.open(value));
  const way = labelledSelect("Aggregation", [], (value) => explorer.choose(presetOf(value, explorer.page)));
  const kinds = Object.entries(KINDS).map(([value, [text]]) => [value, text]);
  const kind = labelledSelect("Attention as", kinds, (value) => explorer.choose({ kind: value }));
  const layer = labelledSelect("Layer", [], (value) => explorer.choose({ layer: number(value) }));
  const head = labelledSelect("Head", [], (value) => explorer.choose({ head: number(value) }));
  const reset = element("button", {
    type: "button", class: "ka-button", title: "Shares of attention over all layers and heads, at the first answer token",
    onclick: () => explorer.choose({ ...presetOf("attention_share", explorer.page), layer: null, head: null, said: "generated" }),
  }, "Reset");
  question.element.classList.add("ka-wide");
  const fields = { question, way, kind, layer, head };
  return {
    question: question.element,
    element: element("div", { class: "ka-controls" }, way.element, kind.element, layer.element, head.element, reset),
    fill: (page) => fillControls(fields, page),
    draw: () => drawControls(fields, explorer),
  };
}

function fillControls({ question, way, layer, head }, page) {
  fillSelect(question.select, page.questions);
  question.element.hidden = page.questions.length < 2;
  const names = Object.keys(page.aggregations);
  const groups = { Attention: (name) => name === "attention_share", Atlas: (name) => /^atlas|^adist$/.test(name) };
  const known = (name) => Object.values(groups).some((holds) => holds(name));
  const listed = (holds) => names.filter(holds).map((name) => [name, wayNamed(name)]);
  fillSelect(way.select, [
    ["Attention", listed(groups.Attention)], ["FiD-KD and its ablations", listed((name) => !known(name))],
    ["Atlas", listed(groups.Atlas)],
  ]);
  const numbered = (count) => [["all", "all"], ...Array.from({ length: count }, (_, at) => [String(at), String(at)])];
  fillSelect(layer.select, numbered(page.sizes.layers));
  fillSelect(head.select, numbered(page.sizes.heads));
}

function drawControls({ question, way, kind, layer, head }, { choice }) {
  question.select.value = choice.question;
  way.select.value = choice.aggregation;
  kind.select.value = choice.kind;
  layer.select.value = choice.layer === null ? "all" : choice.layer;
  head.select.value = choice.head === null ? "all" : choice.head;
}
