import type { ReactNode } from "react";
import type { DriftResult, MonitorCheck } from "../../api/types";
import { pValue, utc, words } from "../../shared/format";
import { evidence } from "../../shared/series";
import { toneOf } from "../../shared/Status";

const MARK: Record<string, string> = { drift: "▲", no_drift: "✓", insufficient_data: "–", failed: "✕" };
const MAX_CHECKS = 40;
const MAX_COLUMNS = 14;

interface Props {
  checks: readonly MonitorCheck[];
  selected: string | undefined;
  link: (check: MonitorCheck, children: ReactNode, label: string) => ReactNode;
}

/** Checks from left to right, columns from top to bottom; the darker, the nearer to an alarm. A drifted cell has a mark. */
export function HeatMap({ checks, selected, link }: Props) {
  const shown = checks.slice(0, MAX_CHECKS).toReversed();
  const results = new Map(shown.map((c) => [c.id, (c.result ?? {}) as DriftResult]));
  const strongest = new Map<string, number>();
  for (const r of results.values()) {
    for (const c of r.columns ?? []) strongest.set(c.column, Math.max(strongest.get(c.column) ?? 0, evidence(c.p_value ?? 1, r.threshold ?? 0.01, 12)));
  }
  const names = [...strongest].sort((a, b) => b[1] - a[1]).slice(0, MAX_COLUMNS).map(([name]) => name);
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className="heat-scroll" tabIndex={0} role="region" aria-label="Checks over time">
      <table className="heat">
        <thead>
          <tr>
            <th scope="col"><span className="sr-only">Column</span></th>
            {shown.map((c) => {
              const word = c.verdict ?? c.status;
              return (
                <th key={c.id} scope="col" className={`heat-head heat-${toneOf(word)}${c.id === selected ? " heat-selected" : ""}`} title={`${utc(c.until)}: ${words(word)}`}>
                  {link(c, MARK[word] ?? "…", `Check of ${utc(c.until)}: ${words(word)}`)}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          {names.map((name) => (
            <tr key={name}>
              <th scope="row" className="mono">{name}</th>
              {shown.map((c) => {
                const result = results.get(c.id);
                const cell = result?.columns?.find((x) => x.column === name);
                const share = cell?.p_value == null ? 0 : evidence(cell.p_value, result?.threshold ?? 0.01) / 2;
                return (
                  <td key={c.id} title={cell ? `${name}: p = ${pValue(cell.p_value)}` : `${name}: not measured`}>
                    <i className={cell?.drifted ? "heat-drifted" : undefined} style={{ background: cell ? `color-mix(in srgb, var(${cell.drifted ? "--bad" : "--c1"}) ${Math.round(8 + share * 82)}%, var(--surface))` : undefined }}>
                      {cell?.drifted ? "▲" : ""}
                      <span className="sr-only">{cell ? `p ${pValue(cell.p_value)}` : "none"}</span>
                    </i>
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
      {strongest.size > MAX_COLUMNS && <p className="dim heat-more">The {MAX_COLUMNS} columns with the strongest evidence, of {strongest.size}.</p>}
    </div>
  );
}
