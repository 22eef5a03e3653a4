// The explorer in a notebook: choices go to the kernel, pieces come back.

function renderExplorer({ model, el }) {
  const root = element("div");
  el.append(root);
  const source = {
    page: () => model.get("page"), data: () => model.get("data"), choice: () => model.get("choice"),
    choose: (choice) => { model.set("choice", choice); model.save_changes(); },
    ask: (want) => model.send({ want }),
    open: (open) => model.send({ open }),
    select: (select) => model.send({ select }),
    save: () => { say(explorer, "Writing …"); model.send({ save: true }); },
  };
  const explorer = startExplorer(root, source);
  const received = (message, buffers) => {
    if (message.parts) explorer.arrived(message.parts, buffers[0]);
    if (message.error) explorer.failed(message.error);
    if (message.saved) {
      download(message.saved, buffers[0], "text/html");
      say(explorer, "Saved.");
    }
  };
  model.on("msg:custom", received);
  model.on("change:page", explorer.renew);
  model.on("change:choice", explorer.changed);
  return () => {
    model.off("msg:custom", received);
    model.off("change:page", explorer.renew);
    model.off("change:choice", explorer.changed);
  };
}

export default { render: renderExplorer };
