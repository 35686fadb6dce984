/** Arithmetic of curves: smoothing, thinning, stacking, and what an interval says. */

export type Point = readonly [x: number, y: number];

/**
 * The exponential moving average with bias correction, on ALL points: smoothing what has been thinned already gives
 * another curve. `weight` in [0, 0.999].
 */
export function smooth(points: readonly Point[], weight: number): Point[] {
  const w = Math.min(Math.max(weight, 0), 0.999);
  if (w === 0) return [...points];
  let last = 0;
  let n = 0;
  return points.map(([x, y]): Point => {
    if (!Number.isFinite(y)) return [x, y];
    last = last * w + (1 - w) * y;
    n += 1;
    return [x, last / (1 - w ** n)];
  });
}

/** At most `limit` points, keeping the smallest and the largest of each bucket, so that no spike is lost. */
export function thin(points: readonly Point[], limit: number): Point[] {
  if (points.length <= limit) return [...points];
  const buckets = Math.max(1, Math.floor(limit / 2));
  const size = points.length / buckets;
  const kept: Point[] = [];
  for (let b = 0; b < buckets; b += 1) {
    const slice = points.slice(Math.floor(b * size), Math.floor((b + 1) * size));
    const low = slice.reduce((a, p) => (p[1] < a[1] ? p : a));
    const high = slice.reduce((a, p) => (p[1] > a[1] ? p : a));
    kept.push(...(low === high ? [low] : low[0] <= high[0] ? [low, high] : [high, low]));
  }
  return kept;
}

/** Several curves on one x axis, as uPlot wants them: `[xs, ys1, ys2, …]`, `null` where a curve has no point. */
export function align(curves: readonly (readonly Point[])[]): [number[], ...(number | null)[][]] {
  const xs = [...new Set(curves.flatMap((c) => c.map((p) => p[0])))].sort((a, b) => a - b);
  const place = new Map(xs.map((x, i) => [x, i]));
  const columns = curves.map((curve) => {
    const column: (number | null)[] = Array.from({ length: xs.length }, () => null);
    for (const [x, y] of curve) column[place.get(x) as number] = Number.isFinite(y) ? y : null;
    return column;
  });
  return [xs, ...columns];
}

export type Reading = "better" | "worse" | "no_difference" | "unclear";

/**
 * What an interval for treatment − control says: better when it lies wholly above `minEffect`, worse when wholly below
 * zero, no difference when it lies wholly within ±minEffect, unclear otherwise. Signs turn when smaller is better.
 */
export function readInterval(lower: number, upper: number, minEffect = 0, greaterIsBetter = true): Reading {
  const [low, high] = greaterIsBetter ? [lower, upper] : [-upper, -lower];
  if (low > minEffect) return "better";
  if (high < 0) return "worse";
  if (minEffect > 0 && low > -minEffect && high < minEffect) return "no_difference";
  return "unclear";
}

/** The domain of an axis that holds all values and zero, with a little air. */
export function domainWithZero(values: readonly number[]): [number, number] {
  const finite = values.filter(Number.isFinite);
  const low = Math.min(0, ...finite);
  const high = Math.max(0, ...finite);
  const air = (high - low || 1) * 0.08;
  return [low - air, high + air];
}

/** 0 at p = 1, 1 at the threshold, up to `max` beyond it: how far a p-value is on the way to an alarm. */
export function evidence(p: number, threshold: number, max = 2): number {
  if (!(p > 0)) return max;
  return Math.min(max, Math.log(p) / Math.log(threshold));
}
