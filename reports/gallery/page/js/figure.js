"use strict";

/**
 * A figure of rows. A page from `file://` can't read the pixels of pictures, so it can't save a figure of them; it saves
 * the list of ids and shows the command that draws them, which has the layout of every other sheet of the suite.
 */
(() => {
  const { dom, state, store, grid } = Gallery;
  const { byId, el, copyable } = dom;
  const { methodOf } = Gallery.columns;
  const FILE = "ids.txt";
  const MOST = 20;

  const rowOf = new Map();

  function findRow(name) {
    if (!rowOf.size) for (const row of store.rows) rowOf.set(grid.nameOf(row), row);
    return rowOf.get(name);
  }

  /** What is selected, in its order; else the first rows that are shown. @returns {Row[]} */
  function chosen() {
    const selected = state.now.selected.map(findRow).filter(Boolean);
    return selected.length ? selected : grid.rows.slice(0, MOST);
  }

  /** A word as a shell reads it. */
  const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`);

  /** The folders of the runs that are shown, of the places of these rows, in the order of the columns. */
  function folders(rows) {
    const places = [...new Set(rows.map((row) => row.place))];
    const methods = Gallery.header.shown().map(methodOf).filter(Boolean);
    return places.flatMap((place) => methods.map((method) => place.runs.get(method)?.path).filter(Boolean));
  }

  const command = (rows, file) => `brushbench report ${folders(rows).map(quoted).join(" ")} --ids ${FILE} --sheet ${file}`;

  const idsOf = (rows) => `${[...new Set(rows.map((row) => row.id))].join("\n")}\n`;

  function latex(rows) {
    const names = Gallery.header.shown().map(methodOf).filter(Boolean);
    const text = `From left to right: source, masked input, ${names.join(", ")}.`;
    const escaped = text.replace(/[\\{}$&#%_^~]/g, (each) => ({ "\\": "\\textbackslash{}", "^": "\\textasciicircum{}", "~": "\\textasciitilde{}" })[each] ?? `\\${each}`);
    return ["\\begin{figure*}", "  \\centering", "  \\includegraphics[width=\\linewidth]{rows.pdf}", `  \\caption{${escaped}}`, "  \\label{fig:rows}", "\\end{figure*}"].join("\n");
  }

  function open() {
    const rows = chosen();
    const own = state.now.selected.length ? `${rows.length} selected rows` : `the first ${rows.length} rows shown (select rows to choose others)`;
    byId("figure-body").replaceChildren(
      el("p", { text: `Figure of ${own}, with the columns as they are.` }),
      el("ol", {},
        el("li", {}, "Save the ids: ", el("button", { type: "button", id: "save-ids", text: `Save ${FILE}`, onclick: () => dom.download(FILE, idsOf(rows), "text/plain") })),
        el("li", {}, "Run one of these where the gallery was built:", copyable(command(rows, "rows.png"), "the command for PNG"), copyable(command(rows, "rows.pdf"), "the command for PDF")),
        el("li", {}, "In LaTeX:", copyable(latex(rows), "LaTeX"))));
    byId("figure").showModal();
  }

  function start() {
    byId("make-figure").addEventListener("click", open);
    byId("save-selection").addEventListener("click", () => dom.download(FILE, idsOf(chosen()), "text/plain"));
    byId("copy-link").addEventListener("click", () => {
      state.write();
      byId("link-body").replaceChildren(copyable(location.href, "the link"));
      byId("link").showModal();
    });
  }

  Gallery.figure = { command, idsOf, start };
})();
