// The explorer in a file of its own: all its data is in the page; what is not there cannot be chosen.

async function startSaved(root, packed) {
  const zipped = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const stream = new Blob([zipped]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const page = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  page.questions = [[page.id, page.asked]];
  let choice = page.choice;
  const source = { page: () => page, data: () => bytes.subarray(4 + length), choice: () => choice, save: null };
  source.choose = (next) => showSaved(explorer, next, () => { choice = next; });
  source.ask = () => {}; // neighbours: they are here or nowhere
  source.select = (text) => {
    try {
      source.choose(readChoice(text, choice, page));
    } catch (error) {
      say(explorer, error.message);
    }
  };
  const explorer = startExplorer(root, source);
}

function showSaved(explorer, next, accept) {
  if (missingKeys(explorer.store, next).length) {
    say(explorer, "This file does not hold the data of that view: open the explorer in a notebook.");
    explorer.draw(); // controls go back to what is shown
    return;
  }
  accept();
  say(explorer, "");
  explorer.changed();
}
