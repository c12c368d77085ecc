"use strict";

/** The keyboard. */
(() => {
  const { dom, state, seeds, detail, grid, stage, blind } = Gallery;
  const PAN = 40;
  const SLIDE = 2;

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  /** Keys of the detail. */
  const DETAIL = {
    j: () => detail.step(1),
    k: () => detail.step(-1),
    n: () => seeds.step(1),
    p: () => seeds.step(-1),
    m: () => detail.cycleOverlay(),
    b: () => detail.toggleBlink(),
    s: () => state.change({ mode: "slider" }),
    a: () => state.change({ mode: "all" }),
    d: () => state.change({ mode: "difference" }),
    c: () => stage.crop(),
    x: () => grid.toggleSelected(detail.openRow()),
    0: () => state.change({ view: [] }),
    "+": () => stage.zoom(1.5),
    "=": () => stage.zoom(1.5),
    "-": () => stage.zoom(1 / 1.5),
  };

  const move = (rows, columns) => grid.focus(grid.focused.row + rows, grid.focused.column + columns);

  /** Keys of the grid. */
  const GRID = {
    j: () => move(1, 0),
    k: () => move(-1, 0),
    n: () => seeds.step(1),
    p: () => seeds.step(-1),
    x: () => grid.rows[grid.current()] && grid.toggleSelected(grid.rows[grid.current()]),
    Enter: () => openFocused(),
    Home: () => grid.focus(0, grid.focused.column),
    End: () => grid.focus(grid.rows.length - 1, grid.focused.column),
    PageDown: () => move(3, 0),
    PageUp: () => move(-3, 0),
  };

  const VOTES = { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "tie" };

  function openFocused() {
    if (grid.rows.length) grid.open(grid.current(), Gallery.header.shown()[grid.focused.column]);
  }

  /** Whether a key belongs to a field that is being filled. */
  const isTyping = ({ target }) => target.closest("input:not([type=checkbox], [type=range]), select, textarea") !== null;

  function inDetail(event) {
    const digit = /^Digit([1-9])$/.exec(event.code);
    if (digit && !event.target.closest("select")) return detail.choose(Number(digit[1]), event.shiftKey) ?? true;
    const arrow = ARROWS[event.key];
    if (arrow) return inStage(arrow, event);
    return DETAIL[event.key] && (DETAIL[event.key]() ?? true);
  }

  /** Arrows move what is looked at closely; else left and right move the divider. */
  function inStage([x, y], { target }) {
    if (target.closest("[type=range], .scroll, pre, code")) return false;
    if (stage.isZoomed() || state.now.mode !== "slider") stage.pan(x * PAN, y * PAN);
    else if (x) stage.slide(x * SLIDE);
    return true;
  }

  function inGrid(event) {
    const inCells = event.target.closest(".cell") !== null;
    const arrow = ARROWS[event.key];
    if (arrow) {
      if (!inCells) return false;
      move(arrow[1], arrow[0]);
      return true;
    }
    const isPlain = ["j", "k", "n", "p"].includes(event.key);
    if (!inCells && !isPlain) return false;
    return GRID[event.key] && (GRID[event.key]() ?? true);
  }

  function inBlind(event) {
    if (!VOTES[event.key] || event.target.closest("select")) return false;
    blind.vote(VOTES[event.key]);
    return true;
  }

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
    const handled = event.key === "?" ? help() : handlerOf()(event);
    if (handled) event.preventDefault();
  }

  function help() {
    if (!document.querySelector("dialog[open]")) dom.byId("help").showModal();
    return true;
  }

  function handlerOf() {
    if (blind.isOpen()) return inBlind;
    if (detail.isOpen()) return inDetail;
    return document.querySelector("dialog[open]") ? () => false : inGrid;
  }

  function start() {
    addEventListener("keydown", pressed);
    dom.byId("show-help").addEventListener("click", help);
    dom.byId("skip").addEventListener("click", () => grid.focus(0, 0));
    for (const button of document.querySelectorAll("[data-close]")) button.addEventListener("click", () => button.closest("dialog").close());
  }

  Gallery.keys = { start };
})();
