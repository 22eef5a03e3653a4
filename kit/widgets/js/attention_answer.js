// The answer, token by token: a click on one changes all views.

function makeAnswer(explorer) {
  const group = element("div", { class: "ka-tokens-said", role: "group", "aria-label": "Answer token" });
  const whose = element("div", { class: "ka-whose" });
  const accepted = element("p", { class: "ka-soft ka-accepted" });
  const step = (by) => () => {
    const count = explorer.page.answers[explorer.choice.said].tokens.length;
    const now = explorer.choice.answer === null ? -1 : explorer.choice.answer;
    const next = Math.min(count - 1, Math.max(-1, now + by));
    explorer.choose({ answer: next < 0 ? null : next });
  };
  onKeys(group, { ArrowLeft: step(-1), ArrowRight: step(1), ArrowUp: step(-1), ArrowDown: step(1) });
  return {
    element: element("div", { class: "ka-answer" }, whose, group, accepted),
    draw: () => drawAnswer(explorer, whose, group, accepted),
  };
}

function drawAnswer(explorer, whose, group, accepted) {
  const { page, choice } = explorer;
  const tokens = page.answers[choice.said].tokens;
  const names = ["all tokens", ...tokens.map(tokenText)];
  if (group.dataset.tokens !== JSON.stringify(tokens)) {
    group.dataset.tokens = JSON.stringify(tokens);
    group.replaceChildren(...names.map((name, place) => element("button", {
      type: "button", class: place ? "ka-said" : "ka-said ka-all",
      title: place ? `What the reader looks at just before it says “${name}”` : "The mean over all answer tokens",
      onclick: () => explorer.choose({ answer: place ? place - 1 : null }),
    }, name)));
  }
  const pressed = choice.answer === null ? 0 : choice.answer + 1;
  [...group.children].forEach((button, place) => {
    button.setAttribute("aria-pressed", place === pressed);
    button.tabIndex = place === pressed ? 0 : -1; // one stop for Tab; arrow keys go on
  });
  if (group.querySelector(":focus")) group.children[pressed].focus(); // the focus goes with the choice
  drawWhose(explorer, whose);
  accepted.textContent = page.accepted.length ? `${page.right ? "✓" : "✗"} accepted: ${page.accepted.slice(0, 4).join(" · ")}` : "";
}

// Whose answer the decoder is fed: buttons only where the given answer is another than the reader's.
function drawWhose(explorer, whose) {
  const { page, choice } = explorer;
  const names = { generated: "The reader answers", given: "Fed the given answer" };
  if (Object.keys(page.answers).length === 1) {
    whose.replaceChildren(element("span", { class: "ka-label" }, names.generated));
    return;
  }
  if (whose.childElementCount !== 2) {
    whose.replaceChildren(...Object.keys(page.answers).map((said) => element("button", {
      type: "button", class: "ka-switch", "data-said": said,
      title: `${names[said]}: ${page.answers[said].text}`,
      onclick: () => explorer.choose({ said, answer: explorer.choice.answer === null ? null : 0 }),
    }, names[said])));
  }
  for (const button of whose.children) button.setAttribute("aria-pressed", button.dataset.said === choice.said);
}
