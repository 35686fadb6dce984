import { describe, expect, it } from "vitest";
import type { MetricSeries } from "../../api/types";
import { groupSeries } from "./curves";

const series = (name: string, values: (number | null)[]): MetricSeries => ({
  name,
  points: values.map((value, step) => ({ step, value, timestamp: new Date(step * 2000).toISOString() })),
});

describe("groupSeries", () => {
  it("puts the splits of one metric together, losses first, single values nowhere", () => {
    const groups = groupSeries([series("val/accuracy", [0.5, 0.6]), series("train/loss", [2, 1]), series("val/loss", [3, 2]), series("test/accuracy", [0.9])], { smoothing: 0, time: false });
    expect(groups.map((g) => [g.name, g.curves.map((c) => c.name)])).toEqual([
      ["loss", ["train/loss", "val/loss"]],
      ["accuracy", ["val/accuracy"]],
    ]);
  });
  it("keeps the raw line behind a smoothed one", () => {
    const [group] = groupSeries([series("train/loss", [2, 1, 4])], { smoothing: 0.9, time: false });
    expect(group?.curves.map((c) => [c.name, c.hidden ?? false])).toEqual([["train/loss (raw)", true], ["train/loss", false]]);
  });
  it("counts time from the first point", () => {
    const [group] = groupSeries([series("train/loss", [2, 1, 4])], { smoothing: 0, time: true });
    expect(group?.curves[0]?.points.map((p) => p[0])).toEqual([0, 2, 4]);
  });
});
