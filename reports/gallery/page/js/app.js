"use strict";

/** Starts the page when all data are there, and draws again what a change of the state concerns. */
(() => {
  const { state, store, numbers, order, grid, charts, panel, detail, figure, blind, keys, columns } = Gallery;
  /** Changes after which other rows are shown, or in another order. */
  const ROWS = ["sort", "metric", "a", "b", "reverse", "dataset", "protocol", "split", "mask", "words", "status", "wins", "tags", "range", "region", "draw"];
  /** Changes after which the same rows look different. */
  const LOOKS = ["ref", "columns", "hidden", "pins", "chips", "size", "selected"];
  let rows = [];

  const has = (changed, names) => names.some((name) => changed.has(name));

  function drawRows(changed) {
    const { rows: found, candidates } = order.ordered(state.now);
    const moved = found.length !== rows.length || found.some((row, place) => row !== rows[place]);
    rows = found;
    grid.draw(rows, !moved);
    if (moved && changed.size) grid.toTop();
    charts.draw(candidates);
  }

  /** Use the scores and images of the seed that the state names. */
  function useSeed() {
    store.under(state.now.draw);
    numbers.forget();
  }

  function update(changed) {
    if (changed.has("draw")) useSeed();
    if (has(changed, ROWS)) drawRows(changed);
    else if (has(changed, LOOKS)) grid.draw(rows, true);
    if (changed.has("theme")) recolour();
    panel.draw(rows.length);
    detail.update(changed);
    blind.update(changed);
  }

  /** Charts are drawn in the colours of the page, which have changed. */
  const recolour = () => requestAnimationFrame(() => charts.draw(order.ordered(state.now).candidates));

  store.finish();
  state.start(columns.usual());
  useSeed();
  for (const part of [grid, charts, panel, Gallery.stage, detail, figure, blind, keys]) part.start();
  state.listen(update);
  panel.draw(store.rows.length);
  drawRows(new Set());
  panel.draw(rows.length);
  detail.update(new Set());
  blind.update(new Set());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", recolour);
  document.documentElement.dataset.ready = "true";
})();
