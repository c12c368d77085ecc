"use strict";

/** Numbers about scores. An improvement is positive where a method is better, whichever way a metric goes. */
(() => {
  const { store } = Gallery;
  const made = new Map();
  const OUTLIER = 3.5;
  const [CONSISTENT, MEAN_CONSISTENT] = [1.4826, 1.2533];
  const FEWEST = 5;

  /** Compute something once for these names. */
  function once(names, compute) {
    const key = JSON.stringify(names);
    if (!made.has(key)) made.set(key, compute());
    return made.get(key);
  }

  /** @returns {number} 1 where higher scores are better, else -1 */
  const sign = (metric) => (store.metrics[metric].higher ? 1 : -1);

  /** How much better `a` is than `b`, by row. @returns {Float64Array} */
  function improvement(metric, a, b) {
    return once(["improvement", metric, a, b], () => {
      const [own, other] = [store.values(metric, a), store.values(metric, b)];
      return own.map((value, row) => sign(metric) * (value - other[row]));
    });
  }

  /** Standard deviation of the numbers that there are, as pandas has it (n - 1); NaN for fewer than two. */
  function deviation(values) {
    let [count, mean, squares] = [0, 0, 0];
    for (const value of values) {
      if (Number.isNaN(value)) continue;
      count++;
      const step = value - mean;
      mean += step / count;
      squares += step * (value - mean);
    }
    return count > 1 ? Math.sqrt(squares / (count - 1)) : NaN;
  }

  /** Standard deviation of the paired differences. */
  const deviationOf = (metric, a, b) =>
    once(["deviation", metric, a, b], () => deviation(improvement(metric, a, b)));

  /** Improvement in standard deviations of all its paired differences; 0 where nothing differs. */
  function standardised(metric, a, b) {
    return once(["standardised", metric, a, b], () => {
      const spread = deviationOf(metric, a, b);
      return improvement(metric, a, b).map((value) => (value === 0 ? 0 : value / spread));
    });
  }

  /** Standard deviation of all methods' scores of a sample. */
  function disagreementOfMethods(metric) {
    return once(["methods", metric], () => {
      const columns = store.methods.map((method) => store.values(metric, method));
      return Float64Array.from(store.rows, (_, row) => deviation(columns.map((column) => column[row])));
    });
  }

  /**
   * How strongly metrics contradict each other about `a` and `b`: some metric says that `a` is better by so many
   * standard deviations, and another one that `b` is. The weaker of the two counts; negative where all agree.
   */
  function disagreementOfMetrics(a, b) {
    return once(["metrics", a, b], () => {
      const columns = Object.keys(store.metrics).map((metric) => standardised(metric, a, b));
      return Float64Array.from(store.rows, (_, row) => {
        const found = columns.map((column) => column[row]).filter((value) => !Number.isNaN(value));
        return found.length > 1 ? Math.min(Math.max(...found), -Math.min(...found)) : NaN;
      });
    });
  }

  /** Scores of one run without gaps, in rising order. */
  const sorted = (metric, method, place) =>
    once(["sorted", metric, method, place.key], () => {
      const own = place.runs.get(method)?.scores[metric]?.values ?? [];
      return Float64Array.from([...own].filter((value) => !Number.isNaN(value))).sort();
    });

  /** Share of the run's scores that a score is better than, equal ones counting half, in percent. */
  function percentile(metric, method, row) {
    const value = store.values(metric, method)[row.number];
    const all = sorted(metric, method, row.place);
    if (Number.isNaN(value)) return NaN;
    const below = firstNotBelow(all, value);
    let above = below;
    while (above < all.length && all[above] === value) above++;
    const share = (below + above) / 2 / all.length;
    return 100 * (sign(metric) > 0 ? share : 1 - share);
  }

  function firstNotBelow(all, value) {
    let [low, high] = [0, all.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (all[middle] < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  const median = (ordered) => {
    const half = ordered.length >> 1;
    return ordered.length % 2 ? ordered[half] : (ordered[half - 1] + ordered[half]) / 2;
  };

  /** Whether a score is an outlier of its run, by the rule that `report` states below its tables. */
  function isOutlier(metric, method, row) {
    const value = store.values(metric, method)[row.number];
    const [centre, spread] = once(["mad", metric, method, row.place.key], () => {
      const all = sorted(metric, method, row.place);
      if (all.length < FEWEST) return [NaN, NaN];
      const middle = median(all);
      const distances = Float64Array.from(all, (each) => Math.abs(each - middle)).sort();
      const mean = distances.reduce((sum, each) => sum + each, 0) / distances.length;
      return [middle, CONSISTENT * median(distances) || MEAN_CONSISTENT * mean];
    });
    return spread > 0 && Math.abs(value - centre) > OUTLIER * spread;
  }

  /** A score as tables print it. */
  function printed(metric, value) {
    if (Number.isNaN(value)) return "–";
    const { scale, digits } = store.metrics[metric];
    const text = (value * scale).toFixed(digits);
    return Number(text) === 0 ? text.replace("-", "") : text;
  }

  /** Forget what was computed, as the scores are those of another seed. */
  const forget = () => made.clear();

  Gallery.numbers = {
    deviationOf, disagreementOfMethods, disagreementOfMetrics, forget, improvement, isOutlier, percentile, printed, sign,
    standardised,
  };
})();
