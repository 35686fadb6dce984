import type { Curve } from "../../shared/LineChart";
import type { TrafficPoint } from "../../api/types";
import type { Point } from "../../shared/series";

/** Requests a minute, a curve for each variant; a minute in which a variant answered nothing is a zero, not a gap. */
export function trafficCurves(points: readonly TrafficPoint[], variants: readonly string[], color: (index: number) => string): Curve[] {
  const minutes = [...new Set(points.map((p) => Date.parse(p.minute) / 1000))].sort((a, b) => a - b);
  const [first] = minutes;
  const last = minutes.at(-1);
  if (first === undefined || last === undefined) return [];
  const all = Array.from({ length: Math.round((last - first) / 60) + 1 }, (_, i) => first + i * 60);
  const names = [...variants, ...new Set(points.map((p) => p.variant).filter((v) => !variants.includes(v)))];
  return names.map((name, i) => {
    const counts = new Map<number, number>();
    for (const p of points) if (p.variant === name) counts.set(Date.parse(p.minute) / 1000, (counts.get(Date.parse(p.minute) / 1000) ?? 0) + p.count);
    return { name, color: color(i), dash: i === 0 ? undefined : [6, 3], points: all.map((at): Point => [at, counts.get(at) ?? 0]) };
  });
}
