// One view of a question's attention: computed here if the page holds the attention whole, asked of Python if not.
// Does what kit.attention.views does: heads are aggregated first, then layers, then a passage's tokens.
//
// held is what Python gives of a question (attention_data.py): passages, lengths (k), tokens (s: of all passages, one
// behind the other), answers { name: { text, tokens, logits } }, value_lengths, others; the last
// two in steps: { steps (n, h, a, s) or (n, h, s), low, step of each row }.

import { range } from "./dom.js";

const VIEW_FIELDS = ["question", "said", "answer", "aggregation", "kind", "layer", "head"];

// The view of a state: { request, way, scores: (k) before each answer token, row (k), weights (s), low, high }, and of
// one passage { map (n, h), tokens: (t) before each answer token }.
export async function attentionView(app, held, state) {
  const request = Object.fromEntries(VIEW_FIELDS.map((name) => [name, state[name]]));
  if (!(request.said in held.answers)) request.said = "generated";
  const count = held.answers[request.said].tokens.length;
  if (request.answer !== null) request.answer = Math.min(request.answer, count - 1);
  const way = app.data.aggregations[request.aggregation];
  const view = { request, way, ...(held.value_lengths ? wholeView(held, request, way) : await askedView(app, request)) };
  view.row = request.answer === null ? combined(view.scores, "mean") : view.scores[request.answer];
  return view;
}

export async function attentionOfPassage(app, held, view, passage) {
  if (held.value_lengths) return wholePassage(held, view, passage);
  const { map, tokens } = await app.ask("passage", { ...view.request, passage });
  return { map, tokens: rowsOf(tokens) };
}

async function askedView(app, request) {
  const { scores, weights, shades, low, high } = await app.ask("view", request);
  const shade = (step) => (request.kind === "logits" ? step / shades : (step / shades) ** 2);
  return { scores: rowsOf(scores), weights: Float32Array.from(weights, (step) => low + (high - low) * shade(step)), low, high };
}

function rowsOf(matrix) {
  const [rows, columns] = matrix.shape;
  return range(rows).map((row) => matrix.subarray(row * columns, (row + 1) * columns));
}

function wholeView(held, request, way) {
  const { kind, answer } = request;
  const each = tokenWeights(held, request, way);
  const scores = each.map((weights) => passageScores(held, weights, way, kind));
  const weights = answer === null ? combined(each, "mean") : each[answer];
  const [least, high] = [weights.reduce((a, b) => Math.min(a, b)), weights.reduce((a, b) => Math.max(a, b))];
  return { each, scores, weights, low: kind === "logits" ? least : 0, high };
}

function wholePassage(held, view, passage) {
  const { request, way, each } = view;
  const [from, to] = boundsOf(held)[passage];
  const [layers, heads] = held.value_lengths.steps.shape;
  const answers = request.answer === null ? range(each.length) : [request.answer];
  const cell = (layer, head, answer) =>
    overTokens(attentionRow(held, request, layer, head, answer).subarray(from, to), way, request.kind, held.question_length);
  const cells = range(layers).flatMap((layer) =>
    range(heads).map((head) => answers.reduce((sum, answer) => sum + cell(layer, head, answer), 0) / answers.length),
  );
  const map = Object.assign(Float32Array.from(cells), { shape: [layers, heads] });
  return { map, tokens: each.map((weights) => weights.subarray(from, to)) };
}

// The weight of every token before each answer token.
function tokenWeights(held, request, way) {
  const [layers, heads] = held.value_lengths.steps.shape;
  const picked = (number, count) => (number === null ? range(count) : [number]);
  const ofLayer = (layer, answer) =>
    combined(picked(request.head, heads).map((head) => attentionRow(held, request, layer, head, answer)), way.over_heads);
  return range(held.answers[request.said].tokens.length).map((answer) =>
    combined(picked(request.layer, layers).map((layer) => ofLayer(layer, answer)), way.over_layers),
  );
}

function combined(rows, how) {
  if (rows.length === 1) return rows[0];
  const best = (at) => rows.reduce((most, row) => Math.max(most, row[at]), -Infinity);
  const average = (at) => rows.reduce((sum, row) => sum + row[at], 0) / rows.length;
  return Float32Array.from(rows[0], (_, at) => (how === "max" ? best(at) : average(at)));
}

function passageScores(held, weights, way, kind) {
  return Float32Array.from(boundsOf(held), ([from, to]) =>
    overTokens(weights.subarray(from, to), way, kind, held.question_length),
  );
}

// One passage's score from its tokens' weights; NaN if no token counts.
function overTokens(weights, way, kind, question) {
  if (!weights.length) return NaN;
  const counted = way.question ? weights : weights.subarray(question);
  const total = (values) => values.reduce((sum, value) => sum + value, 0);
  if (!counted.length) return NaN;
  if (way.over_tokens === "max") return way.scale * Math.max(...counted);
  if (way.over_tokens === "sum") return way.scale * total(counted);
  if (way.over_tokens === "mean") return (way.scale * total(counted)) / counted.length;
  const best = [...counted].sort((a, b) => b - a).slice(0, way.top);
  return (way.scale * total(best)) / (kind === "logits" ? best.length : way.top); // a missing probability counts as 0
}

// [from, to] of each passage among all tokens.
export function boundsOf(held) {
  let to = 0;
  return (held.bounds ??= [...held.lengths].map((length) => [to, (to += length)]));
}

// What one head of one layer gives all tokens (s) before one answer token, kept once computed.
function attentionRow(held, { said, kind }, layer, head, answer) {
  const source = held.answers[said];
  const [, heads, answers, tokens] = source.logits.steps.shape;
  const row = (layer * heads + head) * answers + answer;
  const kept = (source.rows ??= new Map());
  const key = `${kind} ${row}`;
  if (!kept.has(key)) {
    const values = ({ steps, low, step }, at) =>
      Float32Array.from(steps.subarray(at * tokens, (at + 1) * tokens), (count) => low[at] + step[at] * count);
    const logits = values(source.logits, row);
    const lengths = kind === "value_norms" ? values(held.value_lengths, layer * heads + head) : null;
    kept.set(key, kind === "logits" ? logits : probabilitiesOf(logits, lengths));
  }
  return kept.get(key);
}

function probabilitiesOf(logits, lengths) {
  const high = logits.reduce((a, b) => Math.max(a, b));
  const powers = logits.map((logit) => Math.exp(logit - high));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power, at) => (power / total) * (lengths ? lengths[at] : 1));
}

// Whether the scores are shares of one whole, which are written as percentages.
export function areShares({ request, way }) {
  return request.kind === "probabilities" && way.over_tokens === "sum" && way.scale === 1;
}

// From 0 to 1, for a shade; the root keeps small probabilities apart.
export function shadeOf(value, low, high, kind) {
  if (!(high > low) || !Number.isFinite(value)) return 0;
  const part = Math.min(1, Math.max(0, (value - low) / (high - low)));
  return kind === "logits" ? part : Math.sqrt(part);
}

// Places from the highest value to the lowest; what has none comes last, ties keep their order.
export function byValue(values) {
  const known = (at) => (Number.isFinite(values[at]) ? values[at] : -Infinity);
  const order = (a, b) => (known(a) === known(b) ? a - b : known(b) - known(a));
  return range(values.length).sort(order);
}

// Rank 1 for the highest, 0 for what has no value.
export function ranksOf(values) {
  const ranks = new Array(values.length).fill(0);
  byValue(values).forEach((place, rank) => Number.isFinite(values[place]) && (ranks[place] = rank + 1));
  return ranks;
}
