import type { ABTest } from "../../api/types";
import { signed } from "../../shared/format";
import { domainWithZero } from "../../shared/series";

export const greaterIsBetter = (test: ABTest): boolean => test.metric.greater_is_better ?? ["accuracy", "mean_outcome"].includes(test.metric.kind);

/** The interval as a bar beside zero. */
export function Interval({ test }: { test: ABTest }) {
  const e = test.estimate;
  if (!e || !Number.isFinite(e.lower) || !Number.isFinite(e.upper)) return null;
  const [low, high] = domainWithZero([e.lower, e.upper, test.min_effect]);
  const x = (value: number): number => ((value - low) / (high - low)) * 100;
  return (
    <svg className="interval" width="100%" height="46" role="img" aria-label={`Interval from ${signed(e.lower)} to ${signed(e.upper)}`}>
      <line x1={`${x(0)}%`} x2={`${x(0)}%`} y1="0" y2="32" stroke="var(--ink)" strokeWidth="1.5" />
      <line x1={`${x(e.lower)}%`} x2={`${x(e.upper)}%`} y1="16" y2="16" stroke="var(--c1)" strokeWidth="8" strokeOpacity="0.35" strokeLinecap="round" />
      <circle cx={`${x(e.difference)}%`} cy="16" r="5" fill="var(--c1)" />
      <text x={`${x(0)}%`} y="44" textAnchor="middle" fontSize="11" fill="var(--ink-dim)">0</text>
    </svg>
  );
}
