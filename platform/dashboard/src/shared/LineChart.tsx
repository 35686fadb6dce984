import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useMemo, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { number } from "./format";
import { align, type Point, thin } from "./series";
import "./chart.css";

export interface Curve {
  name: string;
  points: readonly Point[];
  /** A CSS variable: `--c1` … `--c8`. */
  color: string;
  dash?: number[];
  width?: number;
  dots?: boolean;
  bars?: boolean;
  /** Drawn, but not named in the legend: the raw line behind a smoothed one. */
  hidden?: boolean;
}

interface Props {
  curves: readonly Curve[];
  label: string;
  height?: number;
  time?: boolean;
  logY?: boolean;
  xLabel?: string;
  /** The area between the first two curves is filled. */
  band?: boolean;
  range?: [number, number];
  zero?: boolean;
  format?: (value: number) => string;
}

const LIMIT = 2_000;

function style(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim() || "#888";
}

function options(props: Props, width: number, onCursor: (index: number | null) => void): uPlot.Options {
  const { curves, height = 220, time = false, logY = false, band = false, range, zero = false, format = number } = props;
  const dim = style("--ink-dim");
  const grid = { stroke: style("--line"), width: 1 };
  const days = curves.some((c) => (c.points.at(-1)?.[0] ?? 0) - (c.points[0]?.[0] ?? 0) > 2 * 86_400);
  const writeTime = (t: number): string => new Date(t * 1000).toISOString().slice(...(days ? ([5, 10] as const) : ([11, 16] as const)));
  const axis = { stroke: dim, grid, ticks: { show: false }, font: "11px ui-sans-serif, system-ui, sans-serif" };
  return {
    width,
    height,
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { x: true, y: false } },
    scales: { x: { time }, y: logY ? { distr: 3 } : range ? { range } : {} },
    axes: [
      { ...axis, grid: { show: false }, size: 28, ...(time ? { values: (_: uPlot, ticks: number[]) => ticks.map(writeTime) } : {}), ...(props.xLabel ? { label: props.xLabel, labelSize: 16, labelFont: axis.font } : {}) },
      { ...axis, size: 56, values: (_, ticks) => ticks.map((t) => (t === null ? "" : format(t))) },
    ],
    series: [
      {},
      ...curves.map((c): uPlot.Series => ({
        label: c.name,
        stroke: style(c.color),
        width: c.width ?? 2,
        dash: c.dash,
        spanGaps: true,
        points: { show: c.dots ?? c.points.length === 1, size: 5 },
        ...(c.bars ? { paths: uPlot.paths.bars?.({ size: [0.8, 24] }), fill: style(c.color), points: { show: false } } : {}),
      })),
    ],
    bands: band ? [{ series: [2, 1], fill: style("--band") }] : [],
    hooks: {
      setCursor: [(u) => onCursor(u.cursor.idx ?? null)],
      draw: [
        (u) => {
          if (!zero) return;
          const y = Math.round(u.valToPos(0, "y", true));
          u.ctx.save();
          u.ctx.strokeStyle = style("--ink");
          u.ctx.lineWidth = 1.5 * devicePixelRatio;
          u.ctx.beginPath();
          u.ctx.moveTo(u.bbox.left, y);
          u.ctx.lineTo(u.bbox.left + u.bbox.width, y);
          u.ctx.stroke();
          u.ctx.restore();
        },
      ],
    },
  };
}

/** Curves on a canvas, with a legend that reads the values under the cursor and a table of the same data. */
export function LineChart(props: Props) {
  const { curves, label, time = false, format = number } = props;
  const scheme = useComputedColorScheme("light");
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const [index, setIndex] = useState<number | null>(null);
  const total = Math.max(0, ...curves.map((c) => c.points.length));
  const data = useMemo(() => align(curves.map((c) => (total > LIMIT ? thin(c.points, LIMIT) : c.points))), [curves, total]);

  // The drawing is made anew when its shape changes; new points only set its data.
  const shape = JSON.stringify([curves.map((c) => [c.name, c.color, c.dash, c.width]), props.logY, props.range, time, props.height, scheme, total === 1]);
  const latest = useRef({ props, data });
  latest.current = { props, data };
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const plot = new uPlot(options(latest.current.props, element.clientWidth, setIndex), latest.current.data as uPlot.AlignedData, element);
    chart.current = plot;
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: latest.current.props.height ?? 220 }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
      chart.current = null;
    };
  }, [shape]);
  useEffect(() => chart.current?.setData(data as uPlot.AlignedData), [data]);

  const x = index === null ? undefined : data[0][index];
  const value = (i: number): number | null | undefined =>
    index === null ? (data[i + 1] as (number | null)[]).findLast((v) => v !== null) : data[i + 1]?.[index];
  const writeX = (at: number): string => (time ? new Date(at * 1000).toISOString().slice(5, 16).replace("T", " ") : number(at));
  return (
    <figure className="chart">
      <figcaption className="chart-legend">
        {curves.map((c, i) =>
          c.hidden ? null : (
            <span key={c.name} className="chart-key">
              <svg width="16" height="8" aria-hidden="true">
                <line x1="0" y1="4" x2="16" y2="4" stroke={`var(${c.color})`} strokeWidth={c.bars ? 8 : 2.5} strokeDasharray={c.dash?.join(" ")} />
              </svg>
              {c.name} <b className="num">{value(i) == null ? "–" : format(value(i) as number)}</b>
            </span>
          ),
        )}
        <span className="chart-x dim num">{x === undefined ? "latest" : `${time ? "" : `${props.xLabel ?? "x"} `}${writeX(x)}`}</span>
        {total > LIMIT && <span className="dim">showing {LIMIT.toLocaleString("en-US")} of {total.toLocaleString("en-US")} points</span>}
      </figcaption>
      <div ref={box} role="img" aria-label={label} className="chart-canvas" />
      <details className="chart-data">
        <summary>Data</summary>
        {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
        <div className="chart-data-scroll" tabIndex={0} role="region" aria-label={`${label}: data`}>
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{props.xLabel ?? (time ? "time (UTC)" : "x")}</th>
                {curves.map((c) => (c.hidden ? null : <th key={c.name} scope="col" className="right">{c.name}</th>))}
              </tr>
            </thead>
            <tbody>
              {data[0].slice(-200).map((at, row) => {
                const i = row + Math.max(0, data[0].length - 200);
                return (
                  <tr key={at}>
                    <td className="num">{writeX(at)}</td>
                    {curves.map((c, k) => (c.hidden ? null : <td key={c.name} className="right num">{data[k + 1]?.[i] == null ? "" : format(data[k + 1]?.[i] as number)}</td>))}
                  </tr>
                );
              })}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}
