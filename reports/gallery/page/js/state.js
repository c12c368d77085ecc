"use strict";

/**
 * What is looked at, and how. All of it is in the address, after `#`, so that a link shows the same.
 *
 * @typedef {Object} State
 * @property {string} sort one of `Gallery.order.SORTS`
 * @property {string} metric
 * @property {string} a method
 * @property {string} b method
 * @property {boolean} reverse
 * @property {string} ref the method whose difference tints the scores
 * @property {[string, string][]} tags
 * @property {number[]} range of the histogram, empty for all
 * @property {number[]} region of the scatter: left, right, low, high
 * @property {string[]} columns in their order; the first `pins` are pinned
 * @property {string} draw the seed of all runs; empty for the mean over seeds
 * @property {string} open `place:id` of the sample in the detail
 * @property {string} left the detail's A where it isn't that of the grid, whose order must stay; `right` its B
 */
(() => {
  const TEXTS = ["sort", "metric", "a", "b", "ref", "dataset", "protocol", "split", "mask", "words", "status", "wins",
    "size", "open", "left", "right", "mode", "overlay", "part", "theme", "pick", "draw"];
  const FLAGS = ["reverse", "blink", "blind"];
  const COUNTS = ["gain", "slider", "seed", "pins", "trial"];
  const LISTS = ["columns", "hidden", "chips", "selected"];
  const RANGES = ["range", "region", "view"];
  const listeners = [];
  let defaults = {};
  /** @type {State} */
  let state = {};
  let timer = 0;

  /** Set what holds where the address says nothing, then read the address. */
  function start(usual) {
    defaults = usual;
    state = parsed(location.hash);
    addEventListener("hashchange", () => {
      if (location.hash === formatted()) return;
      state = parsed(location.hash);
      tell(Object.keys(state));
    });
  }

  function parsed(hash) {
    const given = new URLSearchParams(hash.replace(/^#/, ""));
    const found = structuredClone(defaults);
    for (const name of TEXTS) if (given.has(name)) found[name] = given.get(name);
    for (const name of FLAGS) if (given.has(name)) found[name] = given.get(name) === "1";
    for (const name of COUNTS) if (Number.isFinite(parseFloat(given.get(name)))) found[name] = parseFloat(given.get(name));
    for (const name of LISTS) if (given.has(name)) found[name] = given.getAll(name).filter(Boolean);
    for (const name of RANGES) if (given.has(name)) found[name] = given.get(name).split(",").map(Number);
    found.tags = [...given].filter(([name]) => name.startsWith("tag.")).map(([name, value]) => [name.slice(4), value]);
    return Gallery.valid(found, defaults);
  }

  /** The address of the state: only what isn't as usual. */
  function formatted() {
    const made = new URLSearchParams();
    const differs = (name) => JSON.stringify(state[name]) !== JSON.stringify(defaults[name]);
    for (const name of [...TEXTS, ...COUNTS].filter(differs)) made.set(name, state[name]);
    for (const name of FLAGS.filter(differs)) made.set(name, state[name] ? "1" : "0");
    for (const name of RANGES.filter(differs)) made.set(name, state[name].join(","));
    for (const name of LISTS.filter(differs)) for (const each of state[name].length ? state[name] : [""]) made.append(name, each);
    for (const [name, value] of state.tags) made.append(`tag.${name}`, value);
    const text = made.toString();
    return text ? `#${text}` : "";
  }

  /** Change the state; whoever listens is told what has changed. @param {Partial<State>} changes */
  function change(changes) {
    const changed = Object.keys(changes).filter((name) => JSON.stringify(state[name]) !== JSON.stringify(changes[name]));
    if (!changed.length) return;
    Object.assign(state, changes);
    remember();
    tell(changed);
  }

  /** Browsers allow only so many changes of an address in a while. */
  function remember() {
    clearTimeout(timer);
    timer = setTimeout(write, 150);
  }

  function write() {
    clearTimeout(timer);
    history.replaceState(null, "", formatted() || location.pathname + location.search);
  }

  function tell(changed) {
    for (const listener of listeners) listener(new Set(changed));
  }

  /** @param {(changed: Set<string>) => void} listener */
  const listen = (listener) => listeners.push(listener);

  Gallery.state = { change, formatted, listen, start, write, get now() { return state; }, get usual() { return defaults; } };
})();
