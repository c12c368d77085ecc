"use strict";

/** Making elements. Text from data becomes text nodes only, so that no caption or name is ever read as HTML. */
(() => {
  const SVG = "http://www.w3.org/2000/svg";

  /**
   * @param {Element} element
   * @param {Object<string, *>} properties `class`, `data-*`, `aria-*` and the like; `on*` functions; `text`
   */
  function assign(element, properties) {
    for (const [name, value] of Object.entries(properties)) {
      if (value === undefined || value === null || value === false) continue;
      if (name === "text") element.textContent = value;
      else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value === true ? "" : String(value));
    }
  }

  /**
   * @param {string} tag
   * @param {Object<string, *>} [properties]
   * @param {...(Node|string)} children
   * @returns {HTMLElement}
   */
  function el(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    assign(element, properties);
    element.append(...children);
    return element;
  }

  /** The same for SVG. @returns {SVGElement} */
  function svg(tag, properties = {}, ...children) {
    const element = document.createElementNS(SVG, tag);
    assign(element, properties);
    element.append(...children);
    return element;
  }

  /** @returns {HTMLElement} the element of the page with this id */
  const byId = (id) => document.getElementById(id);

  /** A button with an icon, whose name only screen readers and tooltips tell. */
  function iconButton(icon, name, onclick, more = {}) {
    return el("button", { type: "button", class: "icon", title: name, "aria-label": name, onclick, ...more }, icon);
  }

  /** Fill a `<select>`; `options` are pairs of value and text. */
  function fillSelect(select, options, value) {
    const made = options.map(([key, text]) => el("option", { value: key, text }));
    select.replaceChildren(...made);
    select.value = value;
  }

  /** Have the browser save a text as a file. */
  function download(name, text, type) {
    const link = el("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  /** Say something to screen readers, and for a moment on the page. */
  function announce(text) {
    byId("announcement").textContent = text;
  }

  /** A text with a button that copies it. */
  function copyable(text, name) {
    const code = el("code", { text, tabindex: "0" });
    const copy = el("button", { type: "button", class: "copy", "aria-label": `Copy ${name}`, text: "Copy" });
    copy.addEventListener("click", () => copyText(code, text));
    return el("div", { class: "copyable" }, code, copy);
  }

  /** Pages from `file://` may lack the clipboard; then the text is selected, to be copied by hand. */
  async function copyText(code, text) {
    try {
      await navigator.clipboard.writeText(text);
      announce("Copied.");
    } catch {
      getSelection().selectAllChildren(code);
      announce("Selected; press Ctrl+C to copy.");
    }
  }

  Gallery.dom = { announce, byId, copyable, download, el, fillSelect, iconButton, svg };
})();
