// The losses of kit.losses on one question's scores, and what optimisers make of the scores alone: what the page needs
// to follow a hand. kit.losses is where they are defined; a test compares every one of them with it.
//
// Each loss is (s, t, heat) -> { value, gradient } of the cells that count; heat is { student, teacher } temperatures.

import { range } from "./dom.js";

const sum = (values) => values.reduce((total, value) => total + value, 0);

export function softmax(scores, temperature = 1) {
  const top = Math.max(...scores.filter((score) => !Number.isNaN(score)));
  if (!Number.isFinite(top)) return scores.map(() => NaN);
  const weights = scores.map((score) => (Number.isNaN(score) ? NaN : Math.exp((score - top) / temperature)));
  const total = sum(weights.filter((weight) => !Number.isNaN(weight)));
  return weights.map((weight) => weight / total);
}

function logSoftmax(scores, temperature) {
  const top = Math.max(...scores);
  const total = Math.log(sum(scores.map((score) => Math.exp((score - top) / temperature))));
  return scores.map((score) => (score - top) / temperature - total);
}

// A loss of the student's shares: `cost(r, p, log r, log p)` gives each passage's part, and its slope in log r.
function ofShares(cost) {
  return (s, t, heat) => {
    const [logR, logP] = [logSoftmax(s, heat.student), logSoftmax(t, heat.teacher)];
    const [r, p] = [logR.map(Math.exp), logP.map(Math.exp)];
    const parts = r.map((one, i) => cost(one, p[i], logR[i], logP[i]));
    const slope = sum(parts.map(([, one]) => one));
    const gradient = parts.map(([, one], i) => (one - r[i] * slope) / heat.student);
    return { value: sum(parts.map(([value]) => value)), gradient };
  };
}

const EPSILON = 1e-6; // listnet's
const times = (share, log) => (share === 0 ? 0 : share * log);

const kl = ofShares((r, p, logR, logP) => [times(p, logP - logR), -p]);
const reverseKl = ofShares((r, p, logR, logP) => [times(r, logR - logP), r * (logR - logP + 1)]);
const listnet = ofShares((r, p) => [-p * Math.log(r + EPSILON), (-p * r) / (r + EPSILON)]);
const js = ofShares((r, p, logR, logP) => {
  const logM = Math.log((p + r) / 2);
  return [(times(p, logP - logM) + times(r, logR - logM)) / 2, times(r, logR - logM) / 2];
});

function mse(s, t) {
  const apart = s.map((score, i) => score - t[i]);
  return { value: sum(apart.map((one) => one * one)), gradient: apart.map((one) => 2 * one) };
}

function marginMse(s, t) {
  const apart = s.map((score, i) => score - t[i]);
  const middle = sum(apart) / s.length;
  const weight = 2 / (s.length - 1);
  const value = weight * sum(apart.map((one) => (one - middle) ** 2));
  return { value, gradient: apart.map((one) => 2 * weight * (one - middle)) };
}

// A sum over pairs: `cost(s_i - s_j, i, j)` gives [value, slope] for each pair of `ordered`.
function overPairs(s, chosen, cost) {
  const gradient = s.map(() => 0);
  let [value, count] = [0, 0];
  for (let i = 0; i < s.length; i += 1) {
    for (let j = 0; j < s.length; j += 1) {
      if (!chosen(i, j)) continue;
      const [part, slope] = cost(s[i] - s[j], i, j);
      value += part;
      gradient[i] += slope;
      gradient[j] -= slope;
      count += 1;
    }
  }
  return { value, gradient, count };
}

function meanOverPairs(cost) {
  return (s, t) => {
    const { value, gradient, count } = overPairs(s, (i, j) => t[i] > t[j], (gap, i, j) => cost(gap, t[i] - t[j]));
    return { value: value / Math.max(1, count), gradient: gradient.map((one) => one / Math.max(1, count)) };
  };
}

// log(1 + exp(-gap)) and its slope.
function logistic(gap) {
  const value = gap > 0 ? Math.log1p(Math.exp(-gap)) : Math.log1p(Math.exp(gap)) - gap;
  return [value, -1 / (1 + Math.exp(gap))];
}

const maxMargin = meanOverPairs((gap) => (gap < 1 ? [1 - gap, -1] : [0, 0]));
const ranknet = meanOverPairs(logistic);
const ranknetWeighted = meanOverPairs((gap, margin) => logistic(gap).map((one) => one * margin));

function ranksOf(scores) {
  const order = range(scores.length).sort((a, b) => scores[b] - scores[a] || a - b);
  const ranks = scores.map(() => 0);
  order.forEach((cell, place) => (ranks[cell] = place + 1));
  return ranks;
}

const discount = (rank) => Math.log2(1 + rank);
const SCHEMES = {
  ndcg_loss1: (g, r, i) => g[i] / discount(r[i]),
  ndcg_loss2: (g, r, i, j) => {
    const apart = Math.max(1, Math.abs(r[i] - r[j]));
    return (1 / discount(apart) - 1 / discount(apart + 1)) * Math.abs(g[i] - g[j]);
  },
  lambda_rank: (g, r, i, j) => Math.abs(1 / discount(r[i]) - 1 / discount(r[j])) * Math.abs(g[i] - g[j]),
  ndcg_loss2pp: (...at) => 10 * SCHEMES.ndcg_loss2(...at) + SCHEMES.lambda_rank(...at),
};

function lambdaLoss(scheme) {
  return (s, t) => {
    const grades = softmax(t).map((share) => share + (share > 0.001 ? 2 : 0));
    const gains = grades.map((grade) => 2 ** grade - 1);
    const best = sum([...gains].sort((a, b) => b - a).map((gain, place) => gain / discount(place + 1)));
    const [worth, ranks] = [gains.map((gain) => gain / (best || 1)), ranksOf(s)];
    const every = scheme === "ndcg_loss1";
    const cost = (gap, i, j) => logistic(gap).map((one) => (one * SCHEMES[scheme](worth, ranks, i, j)) / Math.LN2);
    return overPairs(s, (i, j) => every || grades[i] > grades[j], cost);
  };
}

export const LOSSES = {
  kl, reverse_kl: reverseKl, js, listnet, mse, margin_mse: marginMse, max_margin: maxMargin, ranknet,
  ranknet_weighted: ranknetWeighted, lambda_rank: lambdaLoss("lambda_rank"), ndcg_loss1: lambdaLoss("ndcg_loss1"),
  ndcg_loss2: lambdaLoss("ndcg_loss2"), ndcg_loss2pp: lambdaLoss("ndcg_loss2pp"),
}; // prettier-ignore

const TAKES_MINUS_INFINITY = ["kl", "js", "listnet"];
export const takesTemperature = (loss) => ["kl", "reverse_kl", "js", "listnet"].includes(loss);

// A loss over questions, each { student, teacher, counted } of its passages: the value, and each question's gradient.
// What does not count, is not scored (NaN), or is one passage alone has gradient 0, as in kit.losses.
export function lossOver(loss, questions, heat = { student: 1, teacher: 1 }) {
  const parts = questions.map(({ student, teacher, counted }) => {
    const usable = (i) => Number.isFinite(teacher[i]) || (teacher[i] === -Infinity && TAKES_MINUS_INFINITY.includes(loss));
    const cells = range(student.length).filter((i) => (counted?.[i] ?? true) && Number.isFinite(student[i]) && usable(i));
    return { cells, size: student.length, real: cells.some((i) => Number.isFinite(teacher[i])), student, teacher };
  });
  const real = parts.filter((part) => part.real);
  const share = loss === "mse" ? sum(real.map(({ cells }) => cells.length)) : real.length;
  let value = 0;
  const gradients = parts.map((part) => {
    const gradient = new Array(part.size).fill(0);
    if (!part.real || (part.cells.length < 2 && loss !== "mse")) return gradient;
    const pick = (scores) => part.cells.map((i) => scores[i]);
    const at = LOSSES[loss](pick(part.student), pick(part.teacher), heat);
    value += at.value / share;
    part.cells.forEach((cell, n) => (gradient[cell] = at.gradient[n] / share));
    return gradient;
  });
  return { value, gradients };
}

const FARTHEST = 1e6; // a score beyond it has run away
const BETAS = [0.9, 0.999]; // Adam's, as PyTorch's
const TINY = 1e-8;

// Steps of SGD or Adam on one question's scores alone: { scores: [before, after each step], losses, ranAway }.
export function descend(loss, question, heat, { steps, rate, optimiser }) {
  const at = (student) => lossOver(loss, [{ ...question, student }], heat);
  let scores = [...question.student];
  const rows = [scores];
  const losses = [];
  let ranAway = false;
  const [first, second] = [scores.map(() => 0), scores.map(() => 0)];
  for (let n = 1; n <= steps; n += 1) {
    const { value, gradients } = at(scores);
    losses.push(value);
    scores = scores.map((score, i) => {
      const slope = gradients[0][i];
      if (optimiser === "SGD") return score - rate * slope;
      first[i] = BETAS[0] * first[i] + (1 - BETAS[0]) * slope;
      second[i] = BETAS[1] * second[i] + (1 - BETAS[1]) * slope * slope;
      const [mean, square] = [first[i] / (1 - BETAS[0] ** n), second[i] / (1 - BETAS[1] ** n)];
      return score - (rate * mean) / (Math.sqrt(square) + TINY);
    });
    rows.push(scores);
    ranAway = scores.some((score, i) => Number.isFinite(question.student[i]) && !(Math.abs(score) <= FARTHEST));
    if (ranAway) break;
  }
  losses.push(at(scores).value);
  return { scores: rows, losses, ranAway };
}

// Whether the steps went wrong: the loss ended higher than it began, or a score passed a million.
export function grown({ losses, ranAway }) {
  return ranAway || !(losses.at(-1) <= losses[0] + 1e-6 * (1 + Math.abs(losses[0])));
}
