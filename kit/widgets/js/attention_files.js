// What can be taken away: the scores as CSV, any file as a download, the selection on the clipboard.

function download(name, content, type) {
  const address = URL.createObjectURL(new Blob([content], { type }));
  const link = element("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

function scoresAsCsv({ page, choice, drawn }) {
  const ranks = ranksOf(drawn.row.scores);
  const names = page.others.flatMap((other) => [`${other.name} score`, `${other.name} rank`]);
  const header = ["question", "passage", "title", "gold", "tokens", "reader score", "reader rank", ...names];
  const rows = byScore(drawn.row.scores).map((number) => {
    const { id, title, gold, length } = page.passages[number];
    const score = drawn.row.scores[number];
    const others = page.others.flatMap((other) => [other.values[number] ?? "", other.ranks[number] || ""]);
    const shown = Number.isFinite(score) ? Number(score.toPrecision(7)) : "";
    return [choice.question, id, title, gold ? 1 : 0, length, shown, ranks[number] || "", ...others];
  });
  return [header, ...rows].map((row) => row.map(csvCell).join(",")).join("\r\n") + "\r\n";
}

function csvCell(value) {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

async function copyText(input) {
  try {
    await navigator.clipboard.writeText(input.value);
  } catch { // no permission, or a page that may not write there: the old way
    input.select();
    document.execCommand("copy");
  }
}
