// Numbers as they come (float16, shares of a range), as they are written, and as they are coloured.

// The kit's cividis: reads the same for colour-blind eyes and in grey.
const CIVIDIS = ["00224e", "123570", "3b496c", "575d6d", "707173", "8a8678", "a59c74", "c3b369", "e1cc55", "fee838"];

function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
}

// A weight from its share, 0..255, between the lowest and the highest; the root is what keeps small ones apart.
function fromShare(share, low, high, kind) {
  const part = share / 255;
  return low + (high - low) * (kind === "logits" ? part : part * part);
}

function strengthOf(value, low, high, kind) {
  if (!(high > low)) return 0;
  const part = Math.min(1, Math.max(0, (value - low) / (high - low)));
  return kind === "logits" ? part : Math.sqrt(part);
}

// With `digits` behind the point, or three figures; what is huge, or would round to nothing, by its power of ten.
// `tiny`: whether a value near 0 says something (a probability; not a logit).
function written(value, digits = null, tiny = true) {
  if (value === null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const far = size >= 1e5 || (tiny && size > 0 && size < (digits === null ? 0.001 : 0.5 / 10 ** digits));
  const near = digits === null ? String(Number(value.toPrecision(3))) : value.toFixed(digits);
  return (far ? value.toExponential(1) : near).replaceAll("-", "−");
}

function scoreWritten(value, digits, choice, page) {
  if (!isShare(choice, page)) return written(value, digits, choice.kind !== "logits");
  return Number.isFinite(value) ? `${(100 * value).toFixed(value < 0.1 ? 1 : 0)}%` : "–";
}

// Digits behind the point that tell these values apart, the same for all of them.
function digitsOf(values) {
  const known = values.filter(Number.isFinite);
  const span = Math.max(...known) - Math.min(...known);
  return span > 0 ? Math.min(4, Math.max(0, 2 - Math.floor(Math.log10(span)))) : null;
}

// Where the map's colours begin and end: at 0, as the bars do, but for logits, which have no zero.
function rangeOf(values, kind) {
  const known = values.filter(Number.isFinite);
  if (!known.length) return [0, 1];
  return [kind === "logits" ? Math.min(...known) : Math.min(0, ...known), Math.max(...known)];
}

// Rank 1 for the highest; ties keep their order, and what has no score has rank 0. As `ranks` in attention_views.py.
function ranksOf(scores) {
  const ranks = new Array(scores.length).fill(0);
  byScore(scores).forEach((place, rank) => { if (Number.isFinite(scores[place])) ranks[place] = rank + 1; });
  return ranks;
}

function byScore(scores) {
  const value = (place) => (scores[place] !== null && Number.isFinite(scores[place]) ? scores[place] : -Infinity);
  return [...scores.keys()].sort((one, other) => {
    const [high, low] = [value(other), value(one)];
    return high === low ? one - other : high - low;
  });
}

function cividis(part) {
  const place = Math.min(1, Math.max(0, part)) * (CIVIDIS.length - 1);
  const from = Math.min(CIVIDIS.length - 2, Math.floor(place));
  const channel = (hex, at) => parseInt(hex.slice(at, at + 2), 16);
  return [0, 2, 4].map((at) => {
    const [low, high] = [channel(CIVIDIS[from], at), channel(CIVIDIS[from + 1], at)];
    return Math.round(low + (high - low) * (place - from));
  });
}

// Black or white, whichever reads better on a colour (WCAG's relative luminance).
function inkOn([red, green, blue]) {
  const linear = [red, green, blue].map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.179 ? "#000" : "#fff";
}
