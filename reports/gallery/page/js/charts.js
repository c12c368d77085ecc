"use strict";

/** A histogram of what is sorted by, and a scatter of A against B; dragging across either filters. */
(() => {
  const { dom, store, numbers, state } = Gallery;
  const BINS = 32;
  const EDGE = 6;
  const SMALLEST = 3;
  /** Stands for an end of a range that is open: an address has no infinity. */
  const OPEN = 1e300;

  /** A canvas with as many pixels as the screen has, and its size in CSS pixels. */
  function prepared(canvas) {
    const { clientWidth: width, clientHeight: height } = canvas;
    const ratio = devicePixelRatio || 1;
    canvas.width = width * ratio;
    canvas.height = height * ratio;
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    return { pen, width, height };
  }

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  /** Smallest and largest of the numbers that there are; a little apart if they are one. */
  function bounds(values) {
    let [low, high] = [Infinity, -Infinity];
    for (const value of values) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (low > high) return null;
    return low === high ? [low - 0.5, high + 0.5] : [low, high];
  }

  /** From numbers to pixels and back. */
  function scale([low, high], from, to) {
    const step = (to - from) / (high - low);
    return { at: (value) => from + (value - low) * step, value: (pixel) => low + (pixel - from) / step };
  }

  /** Let the user drag across a canvas; `done` is told both corners in pixels, null for a click. */
  function brushable(canvas, moved, done) {
    let start = null;
    const place = (event) => ({ x: event.offsetX, y: event.offsetY });
    canvas.addEventListener("pointerdown", (event) => {
      start = place(event);
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => start && moved(start, place(event)));
    canvas.addEventListener("pointerup", (event) => {
      if (!start) return;
      const [from, to] = [start, place(event)];
      start = null;
      const dragged = Math.hypot(to.x - from.x, to.y - from.y) > SMALLEST;
      done(dragged ? from : null, to);
    });
  }

  const rectangle = (from, to) => [Math.min(from.x, to.x), Math.max(from.x, to.x), Math.min(from.y, to.y), Math.max(from.y, to.y)];

  function shade(pen, left, top, width, height) {
    pen.fillStyle = colour("--brush");
    pen.fillRect(left, top, width, height);
    pen.strokeStyle = colour("--accent");
    pen.strokeRect(left + 0.5, top + 0.5, width - 1, height - 1);
  }

  const histogram = { canvas: null, axis: null, rows: [] };
  const scatter = { canvas: null, axes: null, rows: [] };

  function drawHistogram(dragged) {
    const { pen, width, height } = prepared(histogram.canvas);
    const keys = Gallery.order.keys(state.now);
    const values = histogram.rows.map((row) => keys[row.number]);
    const limits = bounds(values);
    histogram.axis = limits && scale(limits, EDGE, width - EDGE);
    if (!limits) return;
    const counts = new Array(BINS).fill(0);
    for (const value of values) {
      if (Number.isNaN(value)) continue;
      counts[Math.min(BINS - 1, Math.floor(((value - limits[0]) / (limits[1] - limits[0])) * BINS))]++;
    }
    const most = Math.max(...counts);
    const bin = (width - 2 * EDGE) / BINS;
    pen.fillStyle = colour("--bar");
    counts.forEach((count, place) => {
      const tall = count && Math.max(1, (count / most) * (height - 4));
      pen.fillRect(EDGE + place * bin, height - tall, bin - 1, tall);
    });
    const range = dragged ?? state.now.range.map(histogram.axis.at);
    if (range.length) shade(pen, range[0], 0, range[1] - range[0], height);
  }

  function drawScatter(dragged) {
    const { pen, width, height } = prepared(scatter.canvas);
    const { metric, a, b, region } = state.now;
    const [x, y] = metric ? [store.values(metric, a), store.values(metric, b)] : [[], []];
    const limits = bounds(scatter.rows.flatMap((row) => [x[row.number] ?? NaN, y[row.number] ?? NaN]));
    scatter.axes = limits && { x: scale(limits, EDGE, width - EDGE), y: scale(limits, height - EDGE, EDGE) };
    if (!limits) return;
    pen.strokeStyle = colour("--line");
    pen.beginPath();
    pen.moveTo(EDGE, height - EDGE);
    pen.lineTo(width - EDGE, EDGE);
    pen.stroke();
    drawPoints(pen, x, y);
    const box = dragged ?? (region.length ? [...region.slice(0, 2).map(scatter.axes.x.at), ...region.slice(2).map(scatter.axes.y.at).reverse()] : []);
    if (box.length) shade(pen, box[0], box[2], box[1] - box[0], box[3] - box[2]);
  }

  /** Points of A's wins and of B's have the colours of better and worse. */
  function drawPoints(pen, x, y) {
    const { metric, a, b } = state.now;
    const gain = numbers.improvement(metric, a, b);
    const colours = [colour("--worse"), colour("--muted"), colour("--better")];
    pen.globalAlpha = scatter.rows.length > 2000 ? 0.35 : 0.7;
    for (const row of scatter.rows) {
      if (Number.isNaN(gain[row.number])) continue;
      pen.fillStyle = colours[Math.sign(gain[row.number]) + 1];
      pen.fillRect(scatter.axes.x.at(x[row.number]) - 1.5, scatter.axes.y.at(y[row.number]) - 1.5, 3, 3);
    }
    pen.globalAlpha = 1;
  }

  const exact = (number) => Number(number.toPrecision(6));

  function setRange(from, to) {
    if (!from) return state.change({ range: [] });
    const ends = rectangle(from, to).slice(0, 2).map((pixel) => exact(histogram.axis.value(pixel)));
    return state.change({ range: ends });
  }

  function setRegion(from, to) {
    if (!from) return state.change({ region: [] });
    const [left, right, top, bottom] = rectangle(from, to);
    const { x, y } = scatter.axes;
    return state.change({ region: [x.value(left), x.value(right), y.value(bottom), y.value(top)].map(exact) });
  }

  /** Say in words what the charts show, and fill the fields that do the same as dragging. */
  function describe() {
    const { metric, a, b, range, region, sort } = state.now;
    const what = Gallery.order.SORTS[sort].text;
    histogram.canvas.setAttribute("aria-label", `Histogram of ${what}, ${histogram.rows.length} samples`);
    scatter.canvas.setAttribute("aria-label", `${store.metrics[metric]?.label ?? ""} of ${a} (A) against ${b} (B)`);
    dom.byId("histogram-title").textContent = what;
    dom.byId("scatter-title").textContent = metric ? `${store.metrics[metric].label}: A across, B up` : "No scores";
    const shown = (end) => (end === undefined || Math.abs(end) === OPEN ? "" : end);
    dom.byId("range-from").value = shown(range[0]);
    dom.byId("range-to").value = shown(range[1]);
    dom.byId("unbrush").hidden = !range.length && !region.length;
  }

  function fromFields() {
    const ends = ["range-from", "range-to"].map((id) => parseFloat(dom.byId(id).value));
    const [from, to] = [Number.isNaN(ends[0]) ? -OPEN : ends[0], Number.isNaN(ends[1]) ? OPEN : ends[1]];
    state.change({ range: ends.every(Number.isNaN) ? [] : [from, to] });
  }

  /** @param {Row[]} rows those that pass all other filters */
  function draw(rows) {
    histogram.rows = scatter.rows = rows;
    drawHistogram();
    drawScatter();
    describe();
  }

  function start() {
    histogram.canvas = dom.byId("histogram");
    scatter.canvas = dom.byId("scatter");
    brushable(histogram.canvas, (from, to) => histogram.axis && drawHistogram(rectangle(from, to).slice(0, 2)), (from, to) => histogram.axis && setRange(from, to));
    brushable(scatter.canvas, (from, to) => scatter.axes && drawScatter(rectangle(from, to)), (from, to) => scatter.axes && setRegion(from, to));
    for (const id of ["range-from", "range-to"]) dom.byId(id).addEventListener("change", fromFields);
    dom.byId("unbrush").addEventListener("click", () => state.change({ range: [], region: [] }));
  }

  Gallery.charts = { draw, start };
})();
