"use strict";

/** One sample as large as the window. */
(() => {
  const { dom, state, store, stage, facts, grid } = Gallery;
  const { byId, el } = dom;
  /** Changes that only move what is there. */
  const MOVES = new Set(["view", "slider", "blink"]);
  /** Names in the state of the detail's A and B. */
  const SIDES = { a: "left", b: "right" };
  /** What is as usual when the detail is closed. */
  const CLOSED = { open: "", left: "", right: "", view: [] };
  let dialog;
  let drawn = 0;

  /** The row that the state names. @returns {Row|undefined} */
  function openRow() {
    const { open } = state.now;
    const key = open.slice(0, open.indexOf(":"));
    const place = store.places.get(key);
    return place?.rows.find((row) => row.id === open.slice(key.length + 1));
  }

  const isOpen = () => dialog.open;

  /** Another row of the grid. */
  function step(by) {
    const at = grid.rows.indexOf(openRow());
    const next = grid.rows[at + by];
    if (next) state.change({ open: grid.nameOf(next), view: [] });
  }

  async function draw() {
    const row = openRow();
    if (!row) return close();
    const own = ++drawn;
    const runs = [...row.place.runs.keys()].map((method) => store.runOf(row, method));
    const loading = runs.map((run) => store.load(run.more));
    const [outline] = await Promise.all([row.error ? "" : store.outlineOf(row), ...loading]);
    // Meanwhile another sample may have been asked for.
    if (own !== drawn) return undefined;
    if (!dialog.open) dialog.showModal();
    const at = grid.rows.indexOf(row);
    byId("detail-title").textContent = row.id;
    byId("detail-caption").textContent = row.caption;
    byId("detail-place").textContent = at < 0 ? "not among the rows shown" : `${at + 1} of ${grid.rows.length}`;
    byId("previous").disabled = at <= 0;
    byId("next").disabled = at < 0 || at === grid.rows.length - 1;
    drawControls(row);
    stage.draw(row, outline);
    facts.draw(byId("facts"), row);
    return undefined;
  }

  /** Show the state in the controls of the detail. */
  function drawControls(row) {
    const { mode, overlay, part, gain, blink, selected } = state.now;
    const pressed = { mode, overlay, part, gain: String(gain) };
    for (const button of dialog.querySelectorAll("[data-set]")) {
      button.setAttribute("aria-pressed", String(pressed[button.dataset.set] === button.dataset.value));
    }
    byId("gains").hidden = mode !== "difference";
    byId("slider-label").hidden = mode !== "slider";
    byId("blink").hidden = mode !== "blink";
    byId("blink").setAttribute("aria-pressed", String(blink));
    byId("slider").value = state.now.slider;
    byId("detail-select").setAttribute("aria-pressed", String(selected.includes(grid.nameOf(row))));
    dom.fillSelect(byId("detail-draw"), Gallery.seeds.choices(), state.now.draw);
    byId("detail-draw-label").hidden = !store.seeds.length;
    const options = facts.methodsOf(row).map((method, at) => [method, `${at + 1} ${method}`]);
    for (const name of ["a", "b"]) dom.fillSelect(byId(`detail-${name}`), options, stage.pair()[name]);
  }

  function close() {
    drawn++;
    if (dialog.open) dialog.close();
    stage.stop();
    return undefined;
  }

  /** @param {Set<string>} changed names of what has changed in the state */
  function update(changed) {
    if (!state.now.open) {
      if (dialog.open) close();
      return;
    }
    if (dialog.open && [...changed].every((name) => MOVES.has(name))) {
      byId("slider").value = state.now.slider;
      byId("blink").setAttribute("aria-pressed", String(state.now.blink));
      stage.refresh();
      return;
    }
    draw();
  }

  /** The next value of a list, in a circle. */
  const after = (values, value) => values[(values.indexOf(value) + 1) % values.length];

  const cycleOverlay = () => state.change({ overlay: after(Gallery.OVERLAYS, state.now.overlay) });

  /** Start blinking, or stop it and go back to the slider. */
  function toggleBlink() {
    const on = !(state.now.mode === "blink" && state.now.blink);
    state.change({ mode: on ? "blink" : "slider", blink: on });
  }

  /** Choose A by the number of its method; with shift, B. */
  function choose(number, second) {
    const method = facts.methodsOf(openRow())[number - 1];
    if (method) state.change({ [SIDES[second ? "b" : "a"]]: method });
  }

  /** A row of buttons of which one is pressed. */
  function group(parent, name, options) {
    const buttons = options.map(([value, text]) =>
      el("button", { type: "button", "data-set": name, "data-value": value, text, onclick: () => state.change({ [name]: name === "gain" ? Number(value) : value, ...(name === "mode" && value === "blink" ? { blink: true } : {}) }) }));
    byId(parent).append(...buttons);
  }

  function start() {
    dialog = byId("detail");
    const same = (values) => values.map((value) => [value, value]);
    group("modes", "mode", Gallery.MODES);
    group("overlays", "overlay", same(Gallery.OVERLAYS));
    group("parts", "part", same(Gallery.PARTS));
    group("gains", "gain", [["1", "×1"], ["4", "×4"], ["16", "×16"]]);
    for (const name of ["a", "b"]) byId(`detail-${name}`).addEventListener("change", (event) => state.change({ [SIDES[name]]: event.target.value }));
    byId("detail-draw").addEventListener("change", (event) => state.change({ draw: event.target.value, range: [], region: [] }));
    byId("slider").addEventListener("input", () => state.change({ slider: Number(byId("slider").value) }));
    const clicks = {
      previous: () => step(-1), next: () => step(1), blink: toggleBlink, crop: stage.crop,
      "zoom-in": () => stage.zoom(1.5), "zoom-out": () => stage.zoom(1 / 1.5), "zoom-fit": () => state.change({ view: [] }), "zoom-one": () => state.change({ view: oneToOne() }),
      "detail-close": () => state.change(CLOSED), "detail-select": () => grid.toggleSelected(openRow()),
    };
    for (const [id, action] of Object.entries(clicks)) byId(id).addEventListener("click", action);
    // Escape closes a dialog without asking the state.
    dialog.addEventListener("close", () => {
      const row = state.now.open && openRow();
      if (state.now.open) state.change(CLOSED);
      if (row && grid.rows.includes(row)) grid.focus(grid.rows.indexOf(row), grid.focused.column);
    });
  }

  /** A pixel of the sample on a pixel of the page, at the place that is looked at. */
  function oneToOne() {
    const { size = [1, 1] } = openRow();
    const [, x, y] = state.now.view.length ? state.now.view : [1, size[1] / 2, size[0] / 2];
    return [1, x, y];
  }

  Gallery.detail = { choose, cycleOverlay, isOpen, openRow, start, step, toggleBlink, update };
})();
