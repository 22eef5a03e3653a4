// The data of a page: what it started with, and pieces that came later, by key. Layouts: attention_pieces.py.

const PREFETCH = 12000; // bytes of neighbours asked for beside what is drawn

function asBytes(data) {
  if (data instanceof Uint8Array) return data;
  return data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function newStore(page, data) {
  const store = { page, pieces: new Map(), tokens: [] };
  addPieces(store, page.parts, asBytes(data));
  return store;
}

function addPieces(store, parts, bytes) {
  let start = 0;
  for (const [key, size] of parts) {
    const piece = bytes.slice(start, start + size); // a copy: its numbers begin at a whole place
    if (key === "tokens") store.tokens = readTokens(store.page, piece);
    else if (key.split("|")[1] === String(store.page.question)) store.pieces.set(key, readPiece(key, piece, store.page));
    start += size;
  }
}

function readTokens(page, piece) {
  const numbers = new Uint16Array(piece.buffer);
  let start = 0;
  return page.passages.map(({ length }) => {
    start += length;
    return Array.from(numbers.subarray(start - length, start), (number) => page.vocabulary[number]);
  });
}

function readPiece(key, piece, page) {
  const kind = key.split("|")[5];
  if (key.startsWith("map")) return Array.from(new Uint16Array(piece.buffer), fromHalf);
  if (key.startsWith("row")) {
    const count = page.passages.length;
    const numbers = new Float32Array(piece.buffer, 0, count + 2);
    return { scores: Array.from(numbers.subarray(0, count)), low: numbers[count], high: numbers[count + 1],
      strips: piece.subarray(4 * count + 8) };
  }
  const { length } = page.passages[Number(key.split("|")[8])];
  const answers = piece.byteLength / (8 + length);
  const ends = new Float32Array(piece.buffer, 0, 2 * answers);
  return Array.from({ length: answers }, (_, answer) => {
    const [low, high] = [ends[2 * answer], ends[2 * answer + 1]];
    const shares = piece.subarray(8 * answers + answer * length, 8 * answers + (answer + 1) * length);
    return Array.from(shares, (share) => fromShare(share, low, high, kind));
  });
}

function keyOf(piece, choice, page, passage) {
  const word = (number) => (number === null ? "all" : String(number));
  const answer = piece === "text" ? "-" : word(choice.answer);
  const place = piece === "map" ? ["-", "-"] : [word(choice.layer), word(choice.head)];
  const number = piece === "row" ? "-" : String(passage);
  const way = piece === "text" ? shadedAs(choice.aggregation, page) : choice.aggregation;
  return [piece, page.question, choice.said, answer, way, choice.kind, ...place, number].join("|");
}

// The first aggregation that treats heads and layers alike: words are shaded the same by both.
function shadedAs(aggregation, page) {
  const of = (way) => `${way.over_heads} ${way.over_layers}`;
  const wanted = of(page.aggregations[aggregation]);
  return Object.keys(page.aggregations).find((name) => of(page.aggregations[name]) === wanted);
}

function neededKeys(choice, page) {
  const passage = passageNumber(choice, page);
  return ["row", "map", "text"].map((piece) => keyOf(piece, choice, page, passage));
}

function missingKeys(store, choice) {
  return neededKeys(choice, store.page).filter((key) => !store.pieces.has(key));
}

// Keys of the passages beside the chosen one, in the order of the bars, so that arrow keys need not wait.
function neighbourKeys(store, choice, order) {
  const { page } = store;
  const here = order.indexOf(passageNumber(choice, page));
  let room = PREFETCH;
  const found = [];
  for (const step of [1, -1, 2, -2]) {
    const passage = order[here + step];
    if (passage === undefined) continue;
    room -= 2 * page.sizes.layers * page.sizes.heads;
    room -= page.answers[choice.said].tokens.length * (8 + page.passages[passage].length);
    const keys = ["map", "text"].map((piece) => keyOf(piece, choice, page, passage));
    if (room > 0) found.push(...keys.filter((key) => !store.pieces.has(key)));
  }
  return found;
}

function passageNumber(choice, page) {
  return page.passages.findIndex((passage) => passage.id === choice.passage);
}

// Passage numbers from the first row to the last.
function orderOf(choice, page, row) {
  if (choice.order === "reader" && row) return byScore(row.scores);
  const other = page.others.find((one) => one.name === choice.order);
  return other ? byScore(other.values) : page.passages.map((_, number) => number);
}

// The weights of the open passage's tokens before the chosen answer token, or their mean over all.
function tokenWeights(text, answer) {
  if (answer !== null) return text[answer];
  return text[0].map((_, token) => text.reduce((sum, row) => sum + row[token], 0) / text.length);
}
