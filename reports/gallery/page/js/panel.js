"use strict";

/** The controls beside the grid. Each shows a part of the state, and changes it. */
(() => {
  const { dom, state, store, order } = Gallery;
  const { byId, el, fillSelect } = dom;

  /** Selects whose value is a text of the state, by the name of both. */
  const SELECTS = {
    sort: () => Object.entries(order.SORTS).map(([name, { text }]) => [name, text]),
    metric: () => Object.entries(store.metrics).map(([name, { heading }]) => [name, heading]),
    a: () => store.methods.map((name) => [name, name]),
    b: () => store.methods.map((name) => [name, name]),
    draw: () => Gallery.seeds.choices(),
    ref: () => store.methods.map((name) => [name, name]),
    dataset: () => any(placesBy("dataset")),
    protocol: () => any(placesBy("protocol")),
    split: () => any(placesBy("split")),
    mask: () => any(store.sizes.map(([name, most]) => [name, `${name}, up to ${+(most * 100).toFixed(1)} %`])),
    status: () => any(Object.entries(order.STATUSES).map(([name, [text]]) => [name, text])),
    wins: () => any(Object.entries(order.WINS).map(([name, [text]]) => [name, text])),
    size: () => ["small", "medium", "large"].map((name) => [name, name]),
    theme: () => [["", "as the system"], ["light", "light"], ["dark", "dark"]],
  };
  /** What the brushed part of a chart depends on. */
  const CHARTED = ["sort", "metric", "a", "b", "draw"];

  const any = (options) => [["", "any"], ...options];
  const placesBy = (name) => [...new Set([...store.places.values()].map((place) => place[name]))].map((each) => [each, each]);

  function changed(name, value) {
    const brushed = CHARTED.includes(name) ? { range: [], region: [] } : {};
    state.change({ [name]: value, ...brushed });
  }

  function connect(name) {
    const select = byId(name);
    fillSelect(select, SELECTS[name](), state.now[name]);
    select.addEventListener("change", () => changed(name, select.value));
    // A choice of one is none.
    if (["dataset", "protocol", "split", "draw"].includes(name)) select.closest("label").hidden = select.options.length < 3;
  }

  function tagSelect([name, values]) {
    const options = any([...values].sort().map((value) => [value, value]));
    const select = el("select", { "data-tag": name });
    fillSelect(select, options, tagOf(name));
    select.addEventListener("change", () => {
      const rest = state.now.tags.filter(([other]) => other !== name);
      state.change({ tags: select.value ? [...rest, [name, select.value]] : rest });
    });
    return el("label", {}, el("span", { text: name }), select);
  }

  const tagOf = (name) => state.now.tags.find(([other]) => other === name)?.[1] ?? "";

  function chipBox([name, { label }]) {
    const box = el("input", { type: "checkbox", "data-chip": name });
    box.addEventListener("change", () => {
      const kept = Object.keys(store.metrics).filter((metric) => (metric === name ? box.checked : state.now.chips.includes(metric)));
      state.change({ chips: kept });
    });
    return el("label", { class: "check" }, box, el("span", { text: label }));
  }

  function start() {
    Object.keys(SELECTS).forEach(connect);
    byId("tags").replaceChildren(...[...store.tags].map(tagSelect));
    byId("chips").replaceChildren(...Object.entries(store.metrics).map(chipBox));
    byId("words").addEventListener("input", () => state.change({ words: byId("words").value }));
    byId("reverse").addEventListener("change", () => state.change({ reverse: byId("reverse").checked }));
    byId("swap").addEventListener("click", () => state.change({ a: state.now.b, b: state.now.a, range: [], region: [] }));
    byId("clear").addEventListener("click", clear);
    byId("unselect").addEventListener("click", () => state.change({ selected: [] }));
    byId("select-shown").addEventListener("click", () => state.change({ selected: Gallery.grid.rows.map(Gallery.grid.nameOf) }));
  }

  /** Take back all filters; order and columns stay. */
  function clear() {
    const names = ["dataset", "protocol", "split", "mask", "words", "status", "wins", "tags", "range", "region"];
    state.change(Object.fromEntries(names.map((name) => [name, structuredClone(state.usual[name])])));
  }

  /** Show the state in all controls. */
  function draw(shown) {
    for (const name of Object.keys(SELECTS)) byId(name).value = state.now[name];
    for (const select of byId("tags").querySelectorAll("select")) select.value = tagOf(select.dataset.tag);
    for (const box of byId("chips").querySelectorAll("input")) box.checked = state.now.chips.includes(box.dataset.chip);
    if (document.activeElement !== byId("words")) byId("words").value = state.now.words;
    byId("reverse").checked = state.now.reverse;
    const total = store.rows.length;
    byId("count").textContent = shown === total ? `${total} samples` : `${shown} of ${total} samples`;
    const { length } = state.now.selected;
    byId("selection").textContent = length ? `${length} selected` : "none selected";
    byId("unselect").hidden = !length;
    if (state.now.theme) document.documentElement.dataset.theme = state.now.theme;
    else delete document.documentElement.dataset.theme;
  }

  Gallery.panel = { draw, start };
})();
