"use strict";

/** One cell of the grid: a picture or the reason why there is none, and the scores under it. */
(() => {
  const { dom, store, numbers, state } = Gallery;
  const { el } = dom;
  /** Standard deviations of the paired differences at which a tint is full. */
  const FULL_TINT = 2;
  /** Percent of colour in a full tint, which leaves text its contrast. */
  const MOST = 48;

  /** How a score compares with the reference's: the sign, and how strong the tint is. */
  function comparison(row, metric, method) {
    const { ref } = state.now;
    const gain = numbers.improvement(metric, method, ref)[row.number];
    if (method === ref || Number.isNaN(gain) || gain === 0) return { side: "", percent: 0, gain };
    const spread = numbers.deviationOf(metric, method, ref);
    const share = spread > 0 ? Math.min(1, Math.abs(gain) / spread / FULL_TINT) : 1;
    return { side: gain > 0 ? "better" : "worse", percent: Math.round(8 + share * (MOST - 8)), gain };
  }

  /** Tint an element by a comparison; the sign is told by an arrow too. */
  function tint(element, { side, percent }) {
    element.classList.toggle("better", side === "better");
    element.classList.toggle("worse", side === "worse");
    element.style.setProperty("--tint", `${percent}%`);
  }

  const arrow = (side) => ({ better: "▲", worse: "▼" })[side] ?? "";

  /** Why there is no score, or the score. */
  function scoreText(row, metric, method) {
    const scores = row.place.runs.get(method)?.scores[metric];
    if (!scores) return "–";
    const status = scores.statuses[row.at];
    return status === "identical" ? "identical" : numbers.printed(metric, store.values(metric, method)[row.number]);
  }

  /** What a score says in words. */
  function scoreTitle(row, metric, method, { side, gain }) {
    const { heading } = store.metrics[metric];
    const scores = row.place.runs.get(method)?.scores[metric];
    const told = side && `${side} than ${state.now.ref} by ${numbers.printed(metric, Math.abs(gain))}`;
    const extra = [scores?.statuses[row.at], scores?.notes[row.at], told].filter(Boolean).join("; ");
    return `${heading}: ${scoreText(row, metric, method)}${extra ? ` (${extra})` : ""}`;
  }

  function chip(row, metric, method) {
    const found = comparison(row, metric, method);
    const made = el("li", { class: "chip", title: scoreTitle(row, metric, method, found) },
      el("span", { class: "metric", text: store.metrics[metric].label }),
      el("span", { class: "score" }, el("span", { class: "arrow", "aria-label": found.side, role: found.side && "img", text: arrow(found.side) }), scoreText(row, metric, method)));
    tint(made, found);
    return made;
  }

  /** What a column shows of a row. */
  function contentOf(row, column) {
    const method = Gallery.columns.methodOf(column);
    return method ? store.image(row, method) : Gallery.store.given(row, column);
  }

  function picture(row, column) {
    const { thumb, status, reason } = contentOf(row, column);
    if (!thumb) {
      return el("div", { class: `tile ${status}` },
        el("strong", { text: status === "failed" ? "failed" : "no image" }), el("span", { text: reason }));
    }
    const alt = `${Gallery.columns.titleOf(column)}, ${row.id}`;
    return el("img", { src: thumb, alt, loading: "lazy", decoding: "async", draggable: "false" });
  }

  /** @returns {HTMLElement[]} what is in a cell */
  function cell(row, column) {
    const method = Gallery.columns.methodOf(column);
    const frame = el("div", { class: "frame" }, picture(row, column));
    if (!method || !row.place.runs.has(method)) return [frame];
    const chips = state.now.chips.map((metric) => chip(row, metric, method));
    return chips.length ? [frame, el("ul", { class: "chips" }, ...chips)] : [frame];
  }

  Gallery.cells = { arrow, cell, comparison, contentOf, scoreText, scoreTitle, tint };
})();
