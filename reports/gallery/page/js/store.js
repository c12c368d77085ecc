"use strict";

/**
 * What the data scripts have brought: samples, runs and their scores.
 *
 * @typedef {Object} Row a sample of a place
 * @property {number} number place among all rows
 * @property {number} at place among the rows of its place
 * @property {Place} place
 * @property {string} id
 * @property {number} index place in the data set
 * @property {string} caption
 * @property {Object<string, string>} tags
 * @property {number} [share] share of the pixels to inpaint
 * @property {string} [sizeClass] `small`, `medium` or `large`
 * @property {number[]} [size] height and width
 * @property {number[]} [box] left, top, right and bottom of the region to inpaint
 * @property {string} [source] key of its pictures
 * @property {string} [masked]
 * @property {string} [error] why the sample can't be read
 *
 * @typedef {Object} Place a data set, protocol and split
 * @property {string} key
 * @property {Row[]} rows
 * @property {Run[]} all the runs of every seed
 * @property {Map<string, Run>} runs by method, those of the chosen seed
 *
 * @typedef {Object} Run what there is of one method on a place
 * @property {string} key
 * @property {string} seed
 * @property {boolean} any_seed whether it stands for every seed
 * @property {string[]} images keys of pictures, by row
 * @property {Object<string, string[]>} missing status and reason, by row
 * @property {Object<string, {values: Float64Array, statuses: Object, notes: Object}>} scores by metric
 */
(() => {
  const store = {
    /** @type {Row[]} */ rows: [],
    /** @type {Map<string, Place>} */ places: new Map(),
    /** @type {string[]} */ methods: [],
    metrics: {},
    sizes: [],
    /** Samples of one script of masks. */ part: 1,
    /** The metric that is looked at first, as in `brushbench compare`. */ usual: "",
    /** What the names of full sources end in. */ suffix: ".png",
    tags: new Map(),
    /** Seeds to flip through, in rising order; empty if every method has one run. @type {string[]} */ seeds: [],
  };
  const waiting = new Map();
  const columns = new Map();

  Gallery.data.about = ({ places, ...about }) => {
    Object.assign(store, about);
    for (const place of places) store.places.set(place.key, { ...place, rows: [], all: [], runs: new Map(), outlines: null });
  };

  Gallery.data.rows = ({ place, rows }) => {
    const own = store.places.get(place);
    for (const row of rows) own.rows.push({ ...row, place: own });
  };

  Gallery.data.run = (run) => {
    for (const scores of Object.values(run.scores)) scores.values = decoded(scores.values);
    store.places.get(run.place).all.push(run);
  };

  Gallery.data.masks = ({ place, masks }) => {
    const own = store.places.get(place);
    own.outlines = Object.assign(own.outlines ?? Object.create(null), masks);
  };

  Gallery.data.more = ({ place, key, ...more }) => {
    store.places.get(place).all.find((run) => run.key === key).details = more;
  };

  /** @param {string} text 64-bit numbers in base64 @returns {Float64Array} */
  function decoded(text) {
    const binary = atob(text);
    const bytes = new Uint8Array(binary.length);
    for (let k = 0; k < binary.length; k++) bytes[k] = binary.charCodeAt(k);
    return new Float64Array(bytes.buffer);
  }

  /** Let every method have its run of a seed; for an empty one, the mean of its scores over all seeds. */
  function under(seed) {
    columns.clear();
    for (const place of store.places.values()) place.runs = Gallery.seeds.runsUnder(place, seed);
  }

  /** The run whose image is shown: over all seeds, the first one that has an image. @returns {Run|undefined} */
  function runOf(row, method) {
    const run = row.place.runs.get(method);
    return run?.seeds?.find((each) => each.images[row.at]) ?? run?.seeds?.[0] ?? run;
  }

  /** Number the rows and class their masks, when all data are there. */
  function finish() {
    under("");
    for (const place of store.places.values()) {
      place.rows.forEach((row, at) => Object.assign(row, { at, number: store.rows.push(row) - 1 }));
    }
    for (const row of store.rows) {
      row.sizeClass = sizeClass(row);
      for (const [name, value] of Object.entries(row.tags)) {
        if (!store.tags.has(name)) store.tags.set(name, new Set());
        store.tags.get(name).add(value);
      }
    }
  }

  /** Outside is classed by the inside mask, as in reports, so that both halves of an image are in one class. */
  function sizeClass(row) {
    if (row.share === undefined) return "";
    const share = row.place.split === "outside" ? insideShare(row) ?? 1 - row.share : row.share;
    return store.sizes.find(([, most]) => share <= most)?.[0] ?? "";
  }

  const insideRows = new Map();

  function insideShare(row) {
    const { dataset, protocol } = row.place;
    const name = JSON.stringify([dataset, protocol]);
    if (!insideRows.has(name)) {
      const inside = [...store.places.values()].find(
        (place) => place.dataset === dataset && place.protocol === protocol && place.split === "inside",
      );
      insideRows.set(name, new Map((inside?.rows ?? []).map((other) => [other.id, other.share])));
    }
    return insideRows.get(name).get(row.id);
  }

  /** The scores of a method, by row; NaN where there is none. @returns {Float64Array} */
  function values(metric, method) {
    const name = JSON.stringify([metric, method]);
    if (!columns.has(name)) columns.set(name, collected(metric, method));
    return columns.get(name);
  }

  function collected(metric, method) {
    const found = new Float64Array(store.rows.length).fill(NaN);
    for (const place of store.places.values()) {
      const scores = place.runs.get(method)?.scores[metric];
      if (scores && place.rows.length) found.set(scores.values, place.rows[0].number);
    }
    return found;
  }

  /**
   * What there is of a sample in a run.
   * @returns {{thumb?: string, full?: string, status: string, reason: string}}
   */
  function image(row, method) {
    const run = runOf(row, method);
    if (!run) return { status: "absent", reason: row.place.all.some((each) => each.method === method) ? "no run with this seed" : "no run" };
    const key = run.images[row.at];
    if (!key) {
      const [status, reason] = run.missing[row.at];
      return { status, reason };
    }
    return { thumb: thumb(key), full: run.full.base + run.full.names[row.at], status: "done", reason: "" };
  }

  const thumb = (key) => `thumbs/${key.slice(0, 2)}/${key}.webp`;

  /** The picture in a column that isn't a method's. */
  function given(row, column) {
    if (row.error) return { status: "failed", reason: row.error };
    const full = `full/${row.source.slice(0, 2)}/${row.source}${store.suffix}`;
    return { thumb: thumb(column === "source" ? row.source : row.masked), full, status: "done", reason: "" };
  }

  /** Run a script of data that the grid doesn't need, once. @returns {Promise<void>} */
  function load(source) {
    if (!waiting.has(source)) {
      const made = new Promise((resolve, reject) => {
        const script = Gallery.dom.el("script", { src: source });
        script.onload = () => resolve();
        script.onerror = () => reject(new Error(`${source} can't be read`));
        document.head.append(script);
      });
      waiting.set(source, made);
    }
    return waiting.get(source);
  }

  /** The outline of a sample's mask, as an SVG path. @returns {Promise<string>} */
  async function outlineOf(row) {
    const partOf = (other) => Math.floor(other.index / store.part);
    const parts = [...new Set(row.place.rows.map(partOf))];
    await load(row.place.masks[parts.indexOf(partOf(row))]);
    return row.place.outlines[row.id] ?? "";
  }

  Gallery.store = Object.assign(store, { finish, given, image, load, outlineOf, runOf, under, values });
})();
