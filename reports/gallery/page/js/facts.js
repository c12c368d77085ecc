"use strict";

/** What stands beside the stage: all scores of a sample, and how each image was made. */
(() => {
  const { dom, state, store, numbers, cells } = Gallery;
  const { el } = dom;

  /** The methods that have a run on the row's place, in the order of the columns. */
  const methodsOf = (row) =>
    state.now.columns.map(Gallery.columns.methodOf).filter((method) => row.place.runs.has(method));

  /** All scores, with the percentile of each in its run. */
  function scoreTable(row) {
    const methods = methodsOf(row);
    const heads = methods.map((method) => el("th", { scope: "col" }, el("span", { text: method })));
    const lines = Object.keys(store.metrics).map((metric) =>
      el("tr", {}, el("th", { scope: "row", text: store.metrics[metric].heading }),
        ...methods.map((method) => scoreCell(row, metric, method))));
    if (!lines.length) return el("p", { class: "note", text: "These runs are not scored." });
    return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Scores" },
      el("table", { class: "scores" }, el("thead", {}, el("tr", {}, el("th", { scope: "col", text: "score, percentile in the run" }), ...heads)), el("tbody", {}, ...lines)));
  }

  function scoreCell(row, metric, method) {
    const found = cells.comparison(row, metric, method);
    const share = numbers.percentile(metric, method, row);
    const made = el("td", { class: "chip", title: cells.scoreTitle(row, metric, method, found) },
      el("span", { class: "score", text: `${cells.arrow(found.side)} ${cells.scoreText(row, metric, method)}` }),
      el("small", { text: Number.isNaN(share) ? "" : `${share.toFixed(0)} %` }));
    cells.tint(made, found);
    return made;
  }

  /** How one image was made, and how to make it again. */
  function made(row, method) {
    const run = store.runOf(row, method);
    const { details } = run;
    const failure = details.tracebacks[row.at];
    const image = store.image(row, method);
    const options = Object.entries(details.options);
    const facts = [["seed of this image", details.seeds[row.at]], ...Object.entries(details.facts)].filter(([, value]) => value);
    return el("details", { class: "made", open: image.status !== "done" },
      el("summary", {}, el("strong", { text: method }), store.seeds.length ? ` seed ${run.seed} ` : "", ` ${image.reason}`),
      failure ? el("pre", { class: "traceback", tabindex: "0", text: failure }) : "",
      el("h4", { text: "Options" }), options.length ? pairs(options) : el("p", { class: "note", text: "none" }),
      el("h4", { text: "How it was made" }), pairs(facts),
      ...details.notes.map((note) => el("p", { class: "note", text: note })),
      el("h4", { text: "Command that makes this image again" }), command(details, row),
      el("p", {}, el("a", { href: run.record, text: "run.json" }), image.full ? " · " : "",
        image.full ? el("a", { href: image.full, text: "image file" }) : ""));
  }

  function command(details, row) {
    if (!details.command) return el("p", { class: "note", text: "None: the images were made outside of BrushBench." });
    return dom.copyable(`${details.command} --shard ${row.index + 1}/${details.shards}`, "the command");
  }

  const pairs = (entries) =>
    el("dl", {}, ...entries.flatMap(([name, value]) => [el("dt", { text: name }), el("dd", { text: value })]));

  function about(row) {
    const share = row.share === undefined ? [] : [["mask", `${(row.share * 100).toFixed(2)} % of the pixels (${row.sizeClass})`]];
    const size = row.size ? [["size", `${row.size[0]}×${row.size[1]} pixels, height × width`]] : [];
    const where = [["data", `${row.place.dataset}, split ${row.place.split}, protocol ${row.place.protocol}`]];
    return pairs([...where, ...share, ...size, ...Object.entries(row.tags)]);
  }

  /** Fill the side of the detail. @param {HTMLElement} side @param {Row} row whose runs' details are loaded */
  function draw(side, row) {
    const opened = new Set([...side.querySelectorAll("details[open] > summary strong")].map((each) => each.textContent));
    const images = methodsOf(row).map((method) => made(row, method));
    for (const image of images) if (opened.has(image.querySelector("strong").textContent)) image.open = true;
    side.replaceChildren(el("h3", { text: "Scores" }), scoreTable(row), el("h3", { text: "Images" }), ...images,
      el("h3", { text: "Sample" }), about(row));
  }

  Gallery.facts = { draw, methodsOf };
})();
