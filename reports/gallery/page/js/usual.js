"use strict";

/** What is shown when the address says nothing, and what an address may say. */
(() => {
  const FIXED = ["source", "masked"];
  const SHOWN_METRICS = 4;
  const { store, numbers } = Gallery;

  /** The column of a method; `source` and `masked` are no names of methods. */
  const columnOf = (method) => `method:${method}`;
  /** @returns {string} the method of a column, empty for source and masked input */
  const methodOf = (column) => (column.startsWith("method:") ? column.slice(7) : "");
  /** What stands above a column. */
  const titleOf = (column) => methodOf(column) || (column === "source" ? "source" : "masked input");

  /** All metrics, the usual one first, and those last that are the same for all methods. */
  function usualMetrics() {
    const [first = "", ...others] = store.methods;
    const differs = (metric) => others.some((method) => numbers.improvement(metric, method, first).some((gain) => gain));
    const place = (metric) => (differs(metric) ? 0 : 2) + (metric === store.usual ? 0 : 1);
    return Object.keys(store.metrics).sort((one, other) => place(one) - place(other));
  }

  /** All methods, those first that compete. */
  function contenders() {
    const role = (method) => [...store.places.values()].map((place) => place.runs.get(method)?.role).find(Boolean);
    const place = (method) => ["contender", "floor", "reference"].indexOf(role(method));
    return [...store.methods].sort((one, other) => place(one) - place(other));
  }

  /** @returns {State} */
  function usual() {
    const metrics = usualMetrics();
    const [a = "", b = a] = contenders();
    return {
      sort: metrics.length ? "difference" : "id", metric: metrics[0] ?? "", a, b, ref: b, reverse: false,
      dataset: "", protocol: "", split: "", mask: "", words: "", status: "", wins: "", tags: [], range: [], region: [],
      columns: [...FIXED, ...store.methods.map(columnOf)], hidden: [], pins: 1, size: "medium", pick: "",
      chips: metrics.slice(0, SHOWN_METRICS), selected: [],
      open: "", left: "", right: "", mode: "slider", overlay: "none", part: "whole", gain: 1, slider: 50, blink: false, view: [],
      blind: false, draw: "", seed: 1, trial: 0, theme: "",
    };
  }

  /** A state without what this gallery doesn't have: an address may be another gallery's. @param {State} found */
  Gallery.valid = (found, defaults) => {
    const state = { ...found };
    const keep = (name, valid) => {
      if (!valid.includes(state[name])) state[name] = defaults[name];
    };
    for (const name of ["a", "b", "ref"]) keep(name, store.methods);
    for (const name of ["left", "right"]) keep(name, ["", ...store.methods]);
    keep("draw", ["", ...store.seeds]);
    keep("metric", Object.keys(store.metrics));
    keep("sort", Object.keys(Gallery.order.SORTS));
    keep("mode", Gallery.MODES.map(([name]) => name));
    keep("overlay", Gallery.OVERLAYS);
    keep("part", Gallery.PARTS);
    keep("size", ["small", "medium", "large"]);
    keep("theme", ["", "light", "dark"]);
    state.columns = [...new Set([...state.columns.filter((each) => defaults.columns.includes(each)), ...defaults.columns])];
    state.chips = state.chips.filter((metric) => metric in store.metrics);
    for (const [name, count] of [["range", 2], ["region", 4], ["view", 3]]) {
      if (state[name].length !== count || !state[name].every(Number.isFinite)) state[name] = [];
    }
    return state;
  };

  Gallery.MODES = [["slider", "Slider"], ["blink", "Blink"], ["all", "Side by side"], ["difference", "Difference"]];
  Gallery.OVERLAYS = ["none", "outline", "fill", "black"];
  Gallery.PARTS = ["whole", "known", "painted", "border"];
  Gallery.columns = { columnOf, methodOf, titleOf, usual };
})();
