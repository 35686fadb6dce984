import type { MetricSeries } from "../../api/types";
import type { Curve } from "../../shared/LineChart";
import { type Point, smooth } from "../../shared/series";

export interface CurveGroup {
  name: string;
  curves: Curve[];
}
export interface Axis {
  smoothing: number;
  /** Seconds since the first point instead of steps. */
  time: boolean;
}

const COLORS = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7", "--c8"];
/** train and val keep their colours in every chart; val is dashed, so that colour is not all that tells them apart. */
const FIXED: Record<string, { color: string; dash?: number[] }> = { train: { color: "--c1" }, val: { color: "--c2", dash: [6, 3] } };

/** `train/loss` and `val/loss` belong in one chart, named `loss`. */
export function groupSeries(series: readonly MetricSeries[], axis: Axis): CurveGroup[] {
  const start = Math.min(...series.flatMap((s) => s.points.map((p) => Date.parse(p.timestamp))));
  const groups = new Map<string, Curve[]>();
  for (const each of series) {
    if (each.points.length < 2) continue;
    const slash = each.name.indexOf("/");
    const group = slash > 0 ? each.name.slice(slash + 1) : each.name;
    const split = slash > 0 ? each.name.slice(0, slash) : each.name;
    const curves = groups.get(group) ?? [];
    const points = each.points.map((p): Point => [axis.time ? (Date.parse(p.timestamp) - start) / 1000 : p.step, p.value ?? Number.NaN]);
    const look = FIXED[split] ?? { color: COLORS[(curves.length + 2) % COLORS.length] ?? "--c3" };
    const smoothed = axis.smoothing > 0;
    if (smoothed) curves.push({ name: `${each.name} (raw)`, points, color: "--line-strong", width: 1, hidden: true });
    curves.push({ name: each.name, points: smoothed ? smooth(points, axis.smoothing) : points, ...look });
    groups.set(group, curves);
  }
  const rank = (name: string): number => (name.includes("loss") ? 0 : name.includes("accuracy") || name.includes("r2") ? 1 : 2);
  return [...groups].map(([name, curves]) => ({ name, curves })).sort((a, b) => rank(a.name) - rank(b.name) || a.name.localeCompare(b.name));
}
