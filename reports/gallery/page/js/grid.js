"use strict";

/** The grid: only the rows in view exist, whatever their number; rows that leave it are used for those that come. */
(() => {
  const { dom, state, cells, header } = Gallery;
  const { el } = dom;
  const WIDTHS = { small: 112, medium: 168, large: 256 };
  const CAPTION = 34;
  const CHIP = 21;
  const PADDING = 14;
  const GAP = 8;
  const SPARE = 2;
  /** Milliseconds of a frame for making rows. */
  const SLICE = 20;
  /** @type {Row[]} */
  let rows = [];
  let made = new Map();
  let focused = { row: 0, column: 0 };
  let waiting = false;
  let parts;

  const width = () => WIDTHS[state.now.size];
  const height = () => CAPTION + width() + state.now.chips.length * CHIP + PADDING;

  /** Where the rows begin in what is scrolled: below the table and the heads of the columns. */
  const top = () => parts.body.offsetTop + parts.grid.offsetTop;

  /** First and last row in view, and some more. */
  function inView() {
    const from = parts.scroller.scrollTop - top();
    const first = Math.floor(from / height()) - SPARE;
    const last = Math.ceil((from + parts.scroller.clientHeight) / height()) + SPARE;
    return [Math.max(0, first), Math.min(rows.length, last)];
  }

  /**
   * Make the rows that came into view, and remove those that left it. What takes longer than a part of a frame goes on
   * in the next one, so that a leap to other rows stops nothing.
   */
  function update() {
    waiting = false;
    const started = performance.now();
    const [first, last] = inView();
    for (const [place, element] of made) {
      if (place >= first && place < last) continue;
      if (element.contains(document.activeElement)) continue;
      element.remove();
      made.delete(place);
    }
    for (let place = first; place < last; place++) {
      if (made.has(place)) continue;
      if (performance.now() - started > SLICE) return schedule();
      add(place);
    }
    return undefined;
  }

  function add(place) {
    const element = rowElement(rows[place], place);
    made.set(place, element);
    parts.body.append(element);
  }

  function schedule() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(update);
  }

  /** @returns {HTMLElement} */
  function rowElement(row, place) {
    const element = el("div", { role: "row", class: "row", "aria-rowindex": place + 2 });
    element.style.transform = `translateY(${place * height()}px)`;
    element.classList.toggle("selected", isSelected(row));
    const columns = header.shown();
    element.append(caption(row, place, columns.length), ...columns.map((column, at) => cellElement(row, column, place, at)));
    return element;
  }

  const nameOf = (row) => `${row.place.key}:${row.id}`;
  const isSelected = (row) => state.now.selected.includes(nameOf(row));

  function toggleSelected(row) {
    const name = nameOf(row);
    const rest = state.now.selected.filter((each) => each !== name);
    state.change({ selected: rest.length === state.now.selected.length ? [...rest, name] : rest });
  }

  /** Above the pictures: selection, id, caption, and what is known of the sample. */
  function caption(row, place, columns) {
    const box = el("input", { type: "checkbox", "aria-label": `Select ${row.id}`, checked: isSelected(row), onchange: () => toggleSelected(row) });
    const several = Gallery.store.places.size > 1;
    const where = several ? `${row.place.dataset}/${row.place.split}` : "";
    const share = row.share === undefined ? "" : `mask ${(row.share * 100).toFixed(1)} %`;
    const tags = Object.entries(row.tags).map(([name, value]) => `${name}: ${value}`);
    const facts = [where, share, ...tags].filter(Boolean).join(" · ");
    return el("div", { role: "rowheader", class: "caption", "aria-colspan": columns },
      box, el("span", { class: "place", text: `${place + 1}` }), el("strong", { text: row.id }),
      el("span", { class: "words", text: row.caption, title: row.caption }), el("span", { class: "facts", text: facts }));
  }

  function cellElement(row, column, place, at) {
    const pinned = header.isPinned(column);
    const element = el("div", {
      role: "gridcell", class: pinned ? "cell pinned" : "cell", "data-place": place, "data-column": at,
      "aria-colindex": at + 1, tabindex: place === focused.row && at === focused.column ? "0" : "-1",
      "data-of": Gallery.columns.titleOf(column), "data-id": row.id,
    }, ...cells.cell(row, column));
    if (pinned) element.style.left = `${GAP + at * (width() + GAP)}px`;
    return element;
  }

  /** Put the focus into a cell, and the cell into view. */
  function focus(row, column) {
    if (!rows.length) return;
    focused = {
      row: Math.max(0, Math.min(rows.length - 1, row)),
      column: Math.max(0, Math.min(header.shown().length - 1, column)),
    };
    reveal(focused.row);
    update();
    if (!made.has(focused.row)) add(focused.row);
    for (const cell of parts.body.querySelectorAll(".cell")) cell.tabIndex = -1;
    const cell = parts.body.querySelector(`[data-place="${focused.row}"][data-column="${focused.column}"]`);
    if (!cell) return;
    cell.tabIndex = 0;
    cell.focus({ preventScroll: true });
    cell.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** Scroll so far that a row is in view. */
  function reveal(place) {
    const { scroller, heads } = parts;
    const start = top() + place * height();
    const low = start + height() - scroller.clientHeight;
    const high = start - heads.offsetHeight;
    if (scroller.scrollTop > high) scroller.scrollTop = high;
    else if (scroller.scrollTop < low) scroller.scrollTop = low;
  }

  /** The row that the focus is in, else the first one in view. */
  const current = () => focused.row;

  function opened(event) {
    const cell = event.target.closest(".cell");
    if (!cell) return;
    focused = { row: Number(cell.dataset.place), column: Number(cell.dataset.column) };
    open(focused.row, header.shown()[focused.column]);
  }

  /** Open the detail of a row; a method that was clicked becomes its A. */
  function open(place, column = "") {
    const method = Gallery.columns.methodOf(column);
    const { a, b } = state.now;
    state.change({ open: nameOf(rows[place]), left: [a, b].includes(method) ? "" : method });
  }

  /** Draw everything anew. @param {Row[]} found the rows to show, in their order */
  function draw(found, keepPlace = false) {
    rows = found;
    if (!keepPlace) focused = { row: 0, column: focused.column };
    made = new Map();
    const columns = header.shown().length;
    parts.grid.style.setProperty("--columns", columns);
    parts.grid.style.setProperty("--cell", `${width()}px`);
    parts.grid.style.setProperty("--row", `${height()}px`);
    parts.grid.setAttribute("aria-rowcount", rows.length + 1);
    parts.grid.setAttribute("aria-colcount", columns);
    header.draw(parts.heads);
    for (const [at, column] of header.shown().entries()) pinHead(at, column);
    parts.body.style.height = `${rows.length * height()}px`;
    parts.body.replaceChildren();
    parts.empty.hidden = rows.length > 0;
    update();
  }

  function pinHead(at, column) {
    const head = parts.heads.children[at];
    head.classList.toggle("pinned", header.isPinned(column));
    if (header.isPinned(column)) head.style.left = `${GAP + at * (width() + GAP)}px`;
  }

  function start() {
    parts = { scroller: dom.byId("scroller"), grid: dom.byId("grid"), heads: dom.byId("heads"), body: dom.byId("rows"), empty: dom.byId("empty") };
    parts.scroller.addEventListener("scroll", schedule, { passive: true });
    new ResizeObserver(schedule).observe(parts.scroller);
    parts.body.addEventListener("click", (event) => event.target.closest(".frame") && opened(event));
  }

  /** Scroll to the first row. */
  function toTop() {
    if (parts.scroller.scrollTop > top()) parts.scroller.scrollTop = top() - parts.heads.offsetHeight;
  }

  Gallery.grid = { current, draw, focus, nameOf, open, reveal, start, toggleSelected, toTop, get focused() { return focused; }, get rows() { return rows; } };
})();
