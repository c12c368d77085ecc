"use strict";

/**
 * Pictures of a sample over and beside each other, which zoom and move together, to single pixels.
 *
 * Every picture lies in a *world*, an element of the sample's size in pixels that is scaled and moved as a whole, and so
 * do the outline of the mask and what the mask cuts out. What differs is drawn by the browser's blending: pages from
 * `file://` can't read pixels.
 */
(() => {
  const { dom, state, store } = Gallery;
  const { el, svg } = dom;
  const { titleOf, methodOf, columnOf } = Gallery.columns;
  const HALF_PERIOD = 250;
  const MARGIN = 0.15;
  const MOST = 64;
  const PIXELATED = 2;
  /** @type {Row} */
  let row;
  let path = "";
  /** Worlds of what is shown. */
  let worlds = [];
  let fit = 1;
  let blinking = 0;
  let parts;

  /** Of the sample; one that can't be read has any. */
  const size = () => ({ height: row.size?.[0] ?? 256, width: row.size?.[1] ?? 256 });

  /** Scale, and the point of the sample in the middle; empty in the state: the whole sample. */
  function view() {
    const { width, height } = size();
    const [scale, x, y] = state.now.view;
    return state.now.view.length ? { scale, x, y } : { scale: fit, x: width / 2, y: height / 2 };
  }

  /** The two methods that are looked at. */
  const pair = () => ({ a: state.now.left || state.now.a, b: state.now.right || state.now.b });

  const rounded = (number) => Math.round(number * 1000) / 1000;

  /** @param {{scale: number, x: number, y: number}} wanted */
  function look({ scale, x, y }) {
    const { width, height } = size();
    const most = Math.max(MOST, fit);
    const kept = Math.min(most, Math.max(fit / 4, scale));
    const inside = (value, end) => Math.min(end, Math.max(0, value));
    state.change({ view: [kept, inside(x, width), inside(y, height)].map(rounded) });
  }

  /** Zoom, keeping the point of the sample that is at this place of a pane. */
  function zoom(factor, at = null) {
    const { scale, x, y } = view();
    const next = Math.min(Math.max(MOST, fit), Math.max(fit / 4, scale * factor));
    const [dx, dy] = at ?? [0, 0];
    look({ scale: next, x: x + dx / scale - dx / next, y: y + dy / scale - dy / next });
  }

  /** Move by so many pixels of the screen. */
  function pan(dx, dy) {
    const { scale, x, y } = view();
    look({ scale, x: x + dx / scale, y: y + dy / scale });
  }

  /** Look at the region to inpaint, with some margin. */
  function crop() {
    if (!row.box?.length) return;
    const [left, top, right, bottom] = row.box;
    const pane = paneSize();
    const [width, height] = [(right - left) * (1 + 2 * MARGIN), (bottom - top) * (1 + 2 * MARGIN)];
    look({ scale: Math.min(pane.width / width, pane.height / height), x: (left + right) / 2, y: (top + bottom) / 2 });
  }

  function paneSize() {
    const pane = parts.stage.querySelector(".pane-view");
    return { width: pane?.clientWidth || 1, height: pane?.clientHeight || 1 };
  }

  /** Scale and move all worlds. */
  function place() {
    const pane = paneSize();
    const { width, height } = size();
    fit = Math.min(pane.width / width, pane.height / height);
    const { scale, x, y } = view();
    for (const world of worlds) {
      world.style.transform = `translate(${pane.width / 2 - x * scale}px, ${pane.height / 2 - y * scale}px) scale(${scale})`;
      world.style.setProperty("--scale", scale);
      world.classList.toggle("pixelated", scale >= PIXELATED);
    }
    dom.byId("zoom").textContent = `${Math.round(scale * 100)} %`;
  }

  /** A world with a picture, or with the reason why there is none. */
  function world(column, ...classes) {
    const { width, height } = size();
    const made = el("div", { class: ["world", ...classes].join(" ") }, picture(column));
    made.style.width = `${width}px`;
    made.style.height = `${height}px`;
    if (column === "masked" && Gallery.cells.contentOf(row, column).full) made.append(overlay("black"));
    worlds.push(made);
    return made;
  }

  function picture(column) {
    const { width, height } = size();
    const { full, reason, status } = Gallery.cells.contentOf(row, column);
    if (full) return el("img", { src: full, alt: `${titleOf(column)}, ${row.id}`, draggable: "false", width, height });
    return el("div", { class: `tile ${status}` }, el("strong", { text: status === "failed" ? "failed" : "no image" }), el("span", { text: reason }));
  }

  /** The mask drawn over a picture. */
  function overlay(kind) {
    const { width, height } = size();
    const made = svg("svg", { class: `overlay ${kind}`, viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" });
    if (kind === "outline") made.append(svg("path", { d: path, class: "under" }), svg("path", { d: path, class: "over" }));
    else made.append(svg("path", { d: path }));
    return made;
  }

  /** What the mask cuts out: painted, known, and a band along the border. */
  function cuts() {
    const { width, height } = size();
    const whole = `M0 0h${width}v${height}h-${width}z`;
    const clip = (id, d) => svg("clipPath", { id, clipPathUnits: "userSpaceOnUse" }, svg("path", { d, "clip-rule": "evenodd" }));
    const band = svg("mask", { id: "cut-border", maskUnits: "userSpaceOnUse", x: 0, y: 0, width, height },
      svg("path", { d: path, fill: "none", stroke: "white", "stroke-width": Math.max(4, Math.round(Math.max(width, height) / 32)) }));
    return svg("svg", { class: "cuts", width: 0, height: 0, "aria-hidden": "true" },
      clip("cut-painted", path), clip("cut-known", whole + path), band);
  }

  const partClass = () => (state.now.part === "whole" ? "" : `part-${state.now.part}`);

  /** One place of the stage: layers over each other, with a title. */
  function pane(title, ...layers) {
    const view_ = el("div", { class: "pane-view", tabindex: "0", role: "img", "aria-label": title }, ...layers);
    connect(view_);
    return el("figure", { class: "pane" }, view_, el("figcaption", { text: title }));
  }

  /** A layer as large as its pane; without an overlay where that would be blended too. */
  function layer(column, name, more = []) {
    const made = world(column, partClass());
    const { overlay: kind } = state.now;
    if (kind !== "none") made.append(overlay(kind));
    return el("div", { class: `layer ${name}` }, made, ...more);
  }

  const makers = {
    slider({ a, b, slider }) {
      const line = el("div", { class: "divider" }, el("span", { class: "handle" }));
      const made = pane(`${a} (A) on the left, ${b} (B) on the right`,
        layer(columnOf(b), "below"), layer(columnOf(a), "above"), line,
        el("span", { class: "edge left", text: `A: ${a}` }), el("span", { class: "edge right", text: `B: ${b}` }));
      made.firstChild.style.setProperty("--slider", `${slider}%`);
      return [made];
    },
    blink({ a, b }) {
      return [pane(`${a} (A) and ${b} (B) in turn`, layer(columnOf(b), "below"), layer(columnOf(a), "above blinker"),
        el("span", { class: "edge left blink-name", text: `A: ${a}` }))];
    },
    all() {
      return Gallery.header.shown().map((column) => pane(titleOf(column), layer(column, "below")));
    },
    difference({ a, b, gain }) {
      const difference = (column, other) => {
        // Both pictures are cut as one, else the smooth edge of the cut would itself be a difference.
        const both = world(column, partClass());
        both.append(el("div", { class: "difference" }, picture(other)));
        const stack = el("div", { class: "layer below blended" }, both);
        stack.style.setProperty("--gain", gain);
        const cut = el("div", { class: "layer" }, stack);
        if (state.now.overlay !== "none") {
          const lines = emptyWorld();
          lines.append(overlay(state.now.overlay));
          cut.append(lines);
        }
        return pane(`|${titleOf(column)} − ${titleOf(other)}| ×${gain}`, cut);
      };
      return [difference(columnOf(a), "source"), difference(columnOf(b), "source"), difference(columnOf(a), columnOf(b))];
    },
  };

  function emptyWorld() {
    const { width, height } = size();
    const made = el("div", { class: "world" });
    made.style.width = `${width}px`;
    made.style.height = `${height}px`;
    worlds.push(made);
    return made;
  }

  /** Wheel, drag and double click. */
  function connect(pane_) {
    let last = null;
    const fromMiddle = (event) => {
      const box = pane_.getBoundingClientRect();
      return [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
    };
    pane_.addEventListener("wheel", (event) => {
      event.preventDefault();
      zoom(event.deltaY < 0 ? 1.25 : 0.8, fromMiddle(event));
    }, { passive: false });
    pane_.addEventListener("pointerdown", (event) => {
      last = { x: event.clientX, y: event.clientY, divider: event.target.closest(".divider") !== null };
      pane_.setPointerCapture(event.pointerId);
    });
    pane_.addEventListener("pointermove", (event) => {
      if (!last) return;
      if (last.divider) slideTo(pane_, event.clientX);
      else pan(last.x - event.clientX, last.y - event.clientY);
      last = { ...last, x: event.clientX, y: event.clientY };
    });
    pane_.addEventListener("pointerup", () => (last = null));
    pane_.addEventListener("dblclick", () => state.change({ view: [] }));
  }

  function slideTo(pane_, x) {
    const box = pane_.getBoundingClientRect();
    slide(((x - box.left) / box.width) * 100 - state.now.slider);
  }

  /** Move the divider by so many percent. */
  const slide = (step) => state.change({ slider: rounded(Math.min(100, Math.max(0, state.now.slider + step))) });

  /** Show A and B in turn, at 2 Hz, as long as the state says so. */
  function blink() {
    clearInterval(blinking);
    const { mode, blink: on } = state.now;
    const { a, b } = pair();
    const top_ = parts.stage.querySelector(".blinker");
    if (!top_) return;
    const name = parts.stage.querySelector(".blink-name");
    const show = (first) => {
      top_.classList.toggle("off", !first);
      name.textContent = first ? `A: ${a}` : `B: ${b}`;
    };
    let first = true;
    show(first);
    if (mode === "blink" && on) blinking = setInterval(() => show((first = !first)), HALF_PERIOD);
  }

  /** Draw the sample anew. @param {Row} shown @param {string} outline */
  function draw(shown, outline) {
    [row, path] = [shown, outline];
    worlds = [];
    parts.stage.dataset.mode = state.now.mode;
    const panes = makers[state.now.mode]({ ...state.now, ...pair() });
    parts.stage.style.setProperty("--panes", panes.length);
    parts.stage.replaceChildren(cuts(), ...panes);
    place();
    blink();
  }

  /** Only move what is there. */
  function refresh() {
    if (!row) return;
    parts.stage.querySelector(".pane-view")?.style.setProperty("--slider", `${state.now.slider}%`);
    place();
    blink();
  }

  function start() {
    parts = { stage: dom.byId("stage") };
    new ResizeObserver(() => row && place()).observe(parts.stage);
  }

  function stop() {
    clearInterval(blinking);
    row = undefined;
    parts.stage.replaceChildren();
  }

  const isZoomed = () => state.now.view.length > 0;

  Gallery.stage = { crop, draw, isZoomed, pair, pan, refresh, slide, start, stop, zoom };
})();
