"use strict";

/** The heads of the columns: pinned ones first; moved by dragging, or in the menu of columns by keys. */
(() => {
  const { dom, state } = Gallery;
  const { el, iconButton } = dom;
  const { titleOf, methodOf } = Gallery.columns;
  let dragged = "";

  /** The columns that are shown, in their order. */
  const shown = () => state.now.columns.filter((column) => !state.now.hidden.includes(column));
  const isPinned = (column) => state.now.columns.indexOf(column) < state.now.pins;

  /** Put a column before another one; it is pinned if that one's place is. */
  function moveTo(column, target) {
    const { columns } = state.now;
    const place = columns.indexOf(target);
    const rest = columns.filter((each) => each !== column);
    rest.splice(place, 0, column);
    const pins = pinsAfter(columns.indexOf(column), place);
    state.change({ columns: rest, pins });
  }

  function pinsAfter(from, to) {
    const { pins } = state.now;
    if (from < pins && to >= pins) return pins - 1;
    return from >= pins && to < pins ? pins + 1 : pins;
  }

  function moveBy(column, step) {
    const { columns } = state.now;
    const target = columns[columns.indexOf(column) + step];
    if (target) moveTo(column, target);
  }

  /** Pinned columns come first, so pinning moves a column to the end of them, and unpinning after them. */
  function togglePin(column) {
    const { columns, pins } = state.now;
    const pinned = isPinned(column);
    const rest = columns.filter((each) => each !== column);
    const place = pinned ? pins - 1 : pins;
    rest.splice(place, 0, column);
    state.change({ columns: rest, pins: pinned ? pins - 1 : pins + 1 });
  }

  function toggleHidden(column) {
    const { hidden } = state.now;
    const rest = hidden.filter((each) => each !== column);
    state.change({ hidden: rest.length === hidden.length ? [...hidden, column] : rest });
  }

  /** Which of A, B and the reference a method is, to read. */
  function roleOf(column) {
    const method = methodOf(column);
    const { a, b, ref } = state.now;
    return [["A", a], ["B", b], ["ref", ref]].filter(([, each]) => method && each === method).map(([name]) => name);
  }

  function head(column, place) {
    const badges = roleOf(column).map((name) => el("span", { class: "badge", text: name }));
    const made = el("div", { role: "columnheader", class: "head", "aria-colindex": place + 1, draggable: "true", title: titleOf(column) },
      el("span", { class: "name", text: titleOf(column) }), ...badges,
      iconButton(isPinned(column) ? "◆" : "◇", `${isPinned(column) ? "Unpin" : "Pin"} ${titleOf(column)}`, () => togglePin(column)),
      iconButton("×", `Hide ${titleOf(column)}`, () => toggleHidden(column)));
    made.addEventListener("dragstart", (event) => {
      dragged = column;
      event.dataTransfer.effectAllowed = "move";
      event.dataTransfer.setData("text/plain", titleOf(column));
    });
    made.addEventListener("dragover", (event) => dragged && event.preventDefault());
    made.addEventListener("drop", (event) => {
      event.preventDefault();
      if (dragged && dragged !== column) moveTo(dragged, column);
      dragged = "";
    });
    return made;
  }

  /** A line of the menu of columns. */
  function line(column) {
    const name = titleOf(column);
    const id = `column-${state.now.columns.indexOf(column)}`;
    const box = el("input", { type: "checkbox", id, checked: !state.now.hidden.includes(column), onchange: () => toggleHidden(column) });
    const again = (action) => () => {
      action();
      // The menu was made anew, and with it the button that had the focus.
      dom.byId(`column-${state.now.columns.indexOf(column)}`).focus();
    };
    return el("li", {}, box, el("label", { for: id, text: name }),
      iconButton("↑", `Move ${name} to the left`, again(() => moveBy(column, -1))),
      iconButton("↓", `Move ${name} to the right`, again(() => moveBy(column, 1))),
      iconButton(isPinned(column) ? "◆" : "◇", `${isPinned(column) ? "Unpin" : "Pin"} ${name}`, again(() => togglePin(column))));
  }

  /** Draw the heads into the row of heads, and the menu. */
  function draw(row) {
    row.replaceChildren(...shown().map(head));
    dom.byId("column-list").replaceChildren(...state.now.columns.map(line));
  }

  Gallery.header = { draw, isPinned, shown };
})();
