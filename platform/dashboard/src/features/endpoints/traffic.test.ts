import { expect, it } from "vitest";
import { trafficCurves } from "./traffic";

const point = (minute: string, variant: string, count: number) => ({ minute, variant, count, model: "m", model_version: 1 });

it("counts a minute without a request as zero, and keeps variants that are gone", () => {
  const curves = trafficCurves([point("1970-01-01T00:03:00Z", "a", 5), point("1970-01-01T00:01:00Z", "a", 2), point("1970-01-01T00:01:00Z", "old", 1)], ["a", "b"], () => "--c1");
  expect(curves.map((c) => [c.name, c.points])).toEqual([
    ["a", [[60, 2], [120, 0], [180, 5]]],
    ["b", [[60, 0], [120, 0], [180, 0]]],
    ["old", [[60, 1], [120, 0], [180, 0]]],
  ]);
});
