// Elements, numbers as text, and what Python packed. Knows nothing of explorers.

const SVG = "http://www.w3.org/2000/svg";

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined && value !== null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

// An element; a function among the attributes listens to the event of its name.
export function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function mark(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

export function button(label, title, click) {
  return make("button", { type: "button", title, "aria-label": title, click }, label);
}

// Three digits, as Python's .3g with a minus sign; what rounding left (below 1e-9) is 0.
export function written(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const rounded = Math.abs(value) < 1e-9 ? 0 : Number(value.toPrecision(digits));
  const small = rounded !== 0 && (Math.abs(rounded) < 1e-4 || Math.abs(rounded) >= 1e6);
  return (small ? rounded.toExponential() : String(rounded)).replace("-", "−");
}

export function percent(value, digits = 0) {
  return value === null || Number.isNaN(value) ? "–" : `${(100 * value).toFixed(digits)}%`;
}

export function short(text, length = 26) {
  return text.length <= length ? text : `${text.slice(0, length - 1).trimEnd()}…`;
}

export function mean(values) {
  const known = [...values].filter((value) => !Number.isNaN(value));
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : NaN;
}

export function range(count) {
  return Array.from({ length: count }, (_, number) => number);
}

function unzipped(bytes) {
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip")));
}

export function unzippedText(bytes) {
  return unzipped(bytes).text();
}

const ARRAYS = { u1: Uint8Array, u2: Uint16Array, i4: Int32Array, f4: Float32Array, f8: Float64Array };

// What Python's packed() made: JSON in which {"$": [kind, shape, from]} stands for an array (typed, with its shape).
export async function unpacked(bytes) {
  if (!bytes?.byteLength) return {};
  const buffer = await unzipped(bytes).arrayBuffer();
  const length = new DataView(buffer).getUint32(0, true);
  const start = Math.ceil((4 + length) / 8) * 8;
  const revive = (_, value) => {
    if (!value?.$) return value;
    const [kind, shape, from] = value.$;
    const array = new ARRAYS[kind](buffer, start + from, shape.reduce((product, size) => product * size, 1));
    array.shape = shape;
    return array;
  };
  return JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)), revive);
}

export function fromBase64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

// Give the reader a file.
export function download(name, content, type) {
  const address = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

export function csv({ header, rows }) {
  const cell = (value) => (/[",\n]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
  return [header, ...rows].map((row) => row.map((value) => cell(value ?? "")).join(",")).join("\n") + "\n";
}
