"use strict";

/**
 * Voting without names: two methods' images of a sample, shuffled in order and side. The shuffle follows from a seed in
 * the address, and votes are kept in the browser until they are saved as CSV.
 */
(() => {
  const { dom, state, store, grid } = Gallery;
  const { byId, el } = dom;
  const COLUMNS = ["time", "voter", "dataset", "protocol", "split", "sample", "left", "right", "choice"];
  const FORMULA = /^[=+\-@＝＋－＠]/;
  let trials = [];
  let votes = [];
  let dialog;

  /** Numbers from 0 to 1 that follow from a seed (mulberry32). */
  function random(seed) {
    let now = seed >>> 0;
    return () => {
      now = (now + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(now ^ (now >>> 15), now | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    };
  }

  /** The same things in an order of chance (Fisher and Yates). */
  function shuffled(things, draw) {
    const found = [...things];
    for (let last = found.length - 1; last > 0; last--) {
      const other = Math.floor(draw() * (last + 1));
      [found[last], found[other]] = [found[other], found[last]];
    }
    return found;
  }

  /** All pairs of the chosen methods on all rows that are shown, as far as both have an image. */
  function plan() {
    const draw = random(state.now.seed);
    const methods = contestants();
    const pairs = methods.flatMap((one, at) => methods.slice(at + 1).map((other) => [one, other]));
    const rows = [...grid.rows].sort((one, other) => one.number - other.number);
    const all = rows.flatMap((row) => pairs.map(([one, other]) => ({ row, sides: draw() < 0.5 ? [one, other] : [other, one] })));
    return shuffled(all.filter(({ row, sides }) => !row.error && sides.every((method) => store.image(row, method).thumb)), draw);
  }

  /** The methods that are voted on: A and B, or all that are shown. */
  function contestants() {
    if (state.now.pick !== "all") return [...new Set([state.now.a, state.now.b])];
    return Gallery.header.shown().map(Gallery.columns.methodOf).filter(Boolean);
  }

  const storageKey = () => `brushbench-votes-${[...store.places.keys()].join("-")}`;

  /** Where the browser keeps nothing, votes last until the page is closed. */
  function kept() {
    try {
      return JSON.parse(localStorage.getItem(storageKey())) ?? [];
    } catch {
      return [];
    }
  }

  function keep() {
    try {
      localStorage.setItem(storageKey(), JSON.stringify(votes));
    } catch {
      dom.announce("The browser keeps no votes; save them before you close the page.");
    }
  }

  /** @param {"left"|"right"|"tie"} choice */
  function vote(choice) {
    const trial = trials[state.now.trial];
    if (!trial) return;
    const { place, id } = trial.row;
    const [left, right] = trial.sides;
    const { dataset, protocol, split } = place;
    votes.push({ time: new Date().toISOString(), voter: byId("voter").value.trim(), dataset, protocol, split, sample: id, left, right, choice });
    keep();
    state.change({ trial: state.now.trial + 1 });
  }

  function undo() {
    if (!state.now.trial) return;
    votes.pop();
    keep();
    state.change({ trial: state.now.trial - 1 });
  }

  /** One field of CSV, which no spreadsheet takes for a formula. */
  function field(value) {
    const text = FORMULA.test(value) ? `'${value}` : value;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }

  const csv = () => [COLUMNS, ...votes.map((one) => COLUMNS.map((name) => one[name]))].map((line) => `${line.map(field).join(",")}\n`).join("");

  function side(name, row, method) {
    const { full } = store.image(row, method);
    const picture = el("img", { src: full, alt: `${name} image`, draggable: "false" });
    return el("figure", {}, picture, el("figcaption", { text: name }));
  }

  function draw() {
    const trial = trials[state.now.trial];
    byId("blind-progress").textContent = `${Math.min(state.now.trial + 1, trials.length)} of ${trials.length}; ${votes.length} vote${votes.length === 1 ? "" : "s"} kept`;
    for (const button of dialog.querySelectorAll("[data-vote]")) button.disabled = !trial;
    byId("undo").disabled = !state.now.trial || !votes.length;
    if (!trial) {
      byId("blind-stage").replaceChildren(el("p", { text: trials.length ? "That was the last pair. Save your votes." : "No sample shown has images of both methods." }));
      byId("blind-caption").textContent = "";
      return;
    }
    const { row, sides } = trial;
    byId("blind-caption").textContent = row.caption;
    const masked = el("figure", { class: "small" }, el("img", { src: store.given(row, "masked").thumb, alt: "masked input", draggable: "false" }), el("figcaption", { text: "input" }));
    byId("blind-stage").replaceChildren(side("Left", row, sides[0]), masked, side("Right", row, sides[1]));
  }

  function begin() {
    trials = plan();
    votes = kept();
    byId("contestants").value = state.now.pick;
    if (!dialog.open) dialog.showModal();
    draw();
  }

  /** @param {Set<string>} changed */
  function update(changed) {
    if (!state.now.blind) {
      if (dialog.open) dialog.close();
    } else if (!dialog.open || ["pick", "seed", "a", "b"].some((name) => changed.has(name))) begin();
    else draw();
  }

  function start() {
    dialog = byId("blind-vote");
    byId("start-blind").addEventListener("click", () => state.change({ blind: true, trial: 0, open: "", seed: Math.floor(Math.random() * 2 ** 31) + 1 }));
    for (const button of dialog.querySelectorAll("[data-vote]")) button.addEventListener("click", () => vote(button.dataset.vote));
    dom.fillSelect(byId("contestants"), [["", "A against B"], ["all", "all methods shown"]], "");
    byId("contestants").addEventListener("change", () => state.change({ pick: byId("contestants").value, trial: 0 }));
    byId("undo").addEventListener("click", undo);
    byId("save-votes").addEventListener("click", () => dom.download("votes.csv", csv(), "text/csv"));
    byId("forget-votes").addEventListener("click", () => {
      if (!confirm(`Forget all ${votes.length} votes that this browser keeps?`)) return;
      votes = [];
      keep();
      draw();
    });
    dialog.addEventListener("close", () => state.change({ blind: false }));
  }

  Gallery.blind = { csv, isOpen: () => dialog.open, start, update, vote };
})();
