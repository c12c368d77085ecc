"use strict";

/** Several seeds of a method: one of them for all columns, or the mean of their scores. */
(() => {
  const means = new Map();

  /** The runs of a place by method: those of a seed, or without one, what stands for all seeds. */
  function runsUnder(place, seed) {
    const found = new Map();
    for (const method of new Set(place.all.map((run) => run.method))) {
      const own = place.all.filter((run) => run.method === method);
      const run = seed ? own.find((each) => each.seed === seed || each.any_seed) : ofAll(own);
      if (run) found.set(method, run);
    }
    return found;
  }

  /** What stands for all seeds of a method; the run itself if there is one. */
  function ofAll(runs) {
    if (runs.length === 1) return runs[0];
    if (!means.has(runs[0].key)) means.set(runs[0].key, meanOf(inOrder(runs)));
    return means.get(runs[0].key);
  }

  const inOrder = (runs) => [...runs].sort((one, other) => place(one) - place(other));
  const place = (run) => Gallery.store.seeds.indexOf(run.seed);

  function meanOf(runs) {
    const metrics = new Set(runs.flatMap((run) => Object.keys(run.scores)));
    const scores = Object.fromEntries([...metrics].map((metric) => [metric, meanScores(runs, metric)]));
    return { ...runs[0], seeds: runs, scores };
  }

  /** A sample's mean over the seeds that have a score, as in reports, and what a reader must know about it. */
  function meanScores(runs, metric) {
    const own = runs.map((run) => run.scores[metric]).filter(Boolean);
    const [statuses, notes] = [{}, {}];
    const values = own[0].values.map((_, at) => {
      const known = own.map((each) => each.values[at]).filter((value) => !Number.isNaN(value));
      const told = own.map((each) => each.statuses[at]);
      if (told.every(Boolean)) statuses[at] = told[0];
      const note = own.map((each) => each.notes[at]).find(Boolean);
      if (known.length && known.length < runs.length) notes[at] = `mean of ${known.length} of ${runs.length} seeds`;
      else if (note) notes[at] = note;
      return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : NaN;
    });
    return { values, statuses, notes };
  }

  /** What the choice of a seed is called. */
  const titleOf = (seed) => seed || `mean of ${Gallery.store.seeds.length} seeds`;

  /** The choices: the mean, and every seed. @returns {[string, string][]} */
  const choices = () => (Gallery.store.seeds.length ? ["", ...Gallery.store.seeds] : [""]).map((seed) => [seed, titleOf(seed)]);

  /** The next choice or the one before, in a circle. */
  function step(by) {
    const seeds = choices().map(([seed]) => seed);
    const at = seeds.indexOf(Gallery.state.now.draw) + by;
    const draw = seeds[(at + seeds.length) % seeds.length];
    Gallery.state.change({ draw, range: [], region: [] });
    if (seeds.length > 1) Gallery.dom.byId("announcement").textContent = draw ? `seed ${draw}` : titleOf("");
  }

  Gallery.seeds = { choices, runsUnder, step };
})();
