// What is looked at, as a text that can be copied and given back (as attention_choice.py writes it), and in words.

const FIELDS = ["question", "passage", "layer", "head", "answer", "aggregation", "kind", "said", "order", "token"];
const NUMBERS = ["layer", "head", "answer", "token"];
const KINDS = {
  logits: ["logits, before the softmax", "attention logit"],
  probabilities: ["probabilities, after it", "attention probability"],
  value_norms: ["probability × length of the value", "attention probability × value length"],
};

const NAMED = {
  attention_share: "share of attention, summed over words", fid_kd: "FiD-KD’s score: mean logit",
  max_tokens: "highest logit of a token", max_heads: "highest head", max_layers: "highest layer",
  all_answer_tokens: "mean over all answer tokens", adist: "Atlas’s ADist",
};

// An aggregation in words; Atlas’s are named by their parts.
function wayNamed(name) {
  const [, kind, how] = /^atlas_(scores|probs|norms)(.*)$/.exec(name) ?? [];
  if (!kind) return NAMED[name] ?? name;
  const hows = { first: "mean, first answer token", avg: "mean", sum: "sum", woquery: "sum without the question" };
  const kinds = { scores: "logits", probs: "probabilities", norms: "value norms" };
  return `${kinds[kind]}: ${hows[how] ?? `mean of the ${how.slice(3)} highest`}`;
}

// Whether the scores are shares of one whole: they are written as percentages.
function isShare(choice, page) {
  const way = page.aggregations[choice.aggregation];
  return choice.kind === "probabilities" && way.over_tokens === "sum" && way.scale === 1;
}

function choiceText(choice) {
  const shown = FIELDS.filter((name) => name !== "token" || choice.token !== null);
  return shown.map((name) => `${name}=${choice[name] === null ? "all" : escapedWord(choice[name])}`).join(" ");
}

function escapedWord(value) {
  const escape = (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`;
  return encodeURIComponent(value).replaceAll("%3A", ":").replace(/[!'()*]/g, escape);
}

// The choice that a text describes; throws an Error that says what is wrong.
function readChoice(text, present, page) {
  const given = {};
  for (const word of text.trim().split(/\s+/)) {
    const place = word.indexOf("=");
    const name = word.slice(0, Math.max(0, place));
    if (!FIELDS.includes(name) || name in given) throw new Error(`wanted name=value, each once, given ${word}`);
    given[name] = readValue(name, word.slice(place + 1));
  }
  if ((given.question ?? present.question) !== present.question) throw new Error("this file holds another question");
  if (given.aggregation !== undefined && !(given.aggregation in page.aggregations)) throw new Error("no such aggregation");
  const choice = { ...present, token: null, ...presetOf(given.aggregation, page), ...given };
  refuseWhatIsNotThere(choice, page);
  return choice;
}

function readValue(name, value) {
  if (!NUMBERS.includes(name)) return decodeURIComponent(value);
  if (value === "all") return null;
  if (!/^[0-9]+$/.test(value)) throw new Error(`${name}: wanted a number, or all, given ${value}`);
  return Number(value);
}

function refuseWhatIsNotThere(choice, page) {
  const passage = page.passages.find((one) => one.id === choice.passage);
  if (!passage) throw new Error(`no passage ${choice.passage}`);
  if (!(choice.said in page.answers) || !(choice.kind in KINDS)) throw new Error("no such answer or kind");
  const orders = ["reader", "retrieved", ...page.others.map((other) => other.name)];
  if (!orders.includes(choice.order)) throw new Error(`no such order: ${choice.order}`);
  const sizes = {
    layer: page.sizes.layers, head: page.sizes.heads, token: passage.length,
    answer: page.answers[choice.said].tokens.length,
  };
  for (const [name, size] of Object.entries(sizes)) {
    if (choice[name] !== null && choice[name] >= size) throw new Error(`${name}: wanted 0 to ${size - 1}`);
  }
}

// The kind and the answer token that an aggregation is defined with.
function presetOf(aggregation, page) {
  if (aggregation === undefined) return {};
  const way = page.aggregations[aggregation];
  return { aggregation, kind: way.kind, answer: way.answer === "first" ? 0 : null };
}

function tokenText(token) {
  return token.replace(/^▁/, "").replace(/^##/, "") || token;
}

function answerWords(choice, page) {
  const tokens = page.answers[choice.said].tokens;
  if (choice.answer === null) return `, the mean over all ${tokens.length} answer tokens`;
  return ` just before answer token ${choice.answer + 1}, “${tokenText(tokens[choice.answer])}”`;
}

function layerWords(choice, page) {
  const { layers, heads } = page.sizes;
  const way = page.aggregations[choice.aggregation];
  if (choice.layer !== null && choice.head !== null) return `layer ${choice.layer}, head ${choice.head}`;
  const overHeads = `${way.over_heads === "max" ? "highest" : "mean"} over ${heads} heads`;
  const overLayers = `${way.over_layers === "max" ? "highest" : "mean"} over ${layers} layers`;
  if (choice.layer !== null) return `layer ${choice.layer}, ${overHeads}`;
  return choice.head !== null ? `head ${choice.head}, ${overLayers}` : `${overHeads}, ${overLayers}`;
}

function tokenWords(way) {
  const words = { mean: "mean", sum: "sum", max: "highest", top: `mean of the ${way.top} highest` };
  const scale = way.scale === 1 ? "" : ` × ${written(way.scale)}`;
  return `${words[way.over_tokens]}${scale} over the passage’s tokens${way.question ? "" : ", the question’s left out"}`;
}

// One sentence that says what a bar is.
function sentence(choice, page) {
  const way = page.aggregations[choice.aggregation];
  return `A bar is a passage’s ${KINDS[choice.kind][1]}${answerWords(choice, page)}: `
    + `${layerWords(choice, page)}, then ${tokenWords(way)}.`;
}
