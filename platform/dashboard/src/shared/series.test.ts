import { describe, expect, it } from "vitest";
import { align, domainWithZero, evidence, type Point, readInterval, smooth, thin } from "./series";

const line = (n: number): Point[] => Array.from({ length: n }, (_, i) => [i, Math.sin(i / 7)]);

describe("smooth", () => {
  it("starts at the first value and leaves a constant alone", () => {
    const flat: Point[] = [[0, 5], [1, 5], [2, 5]];
    for (const [, y] of smooth(flat, 0.9)) expect(y).toBeCloseTo(5);
  });
  it("is nothing at weight 0, and never flattens to nothing at 1", () => {
    expect(smooth(line(9), 0)).toEqual(line(9));
    expect(smooth([[0, 1], [1, 3]], 1)[1]?.[1]).toBeCloseTo(2, 2);
  });
});

describe("thin", () => {
  it("keeps the spike", () => {
    const points = line(10_000).map(([x, y]): Point => [x, x === 4321 ? 99 : y]);
    const kept = thin(points, 400);
    expect(kept.length).toBeLessThanOrEqual(400);
    expect(Math.max(...kept.map((p) => p[1]))).toBe(99);
    expect(kept.every((p, i) => i === 0 || p[0] >= (kept[i - 1] as Point)[0])).toBe(true);
  });
});

describe("align", () => {
  it("puts curves of different steps on one axis", () => {
    expect(align([[[0, 1], [2, 3]], [[1, 5], [2, Number.NaN]]])).toEqual([[0, 1, 2], [1, null, 3], [null, 5, null]]);
  });
});

describe("readInterval", () => {
  it("reads the four cases", () => {
    expect(readInterval(0.01, 0.05)).toBe("better");
    expect(readInterval(-0.05, -0.01)).toBe("worse");
    expect(readInterval(-0.01, 0.01, 0.02)).toBe("no_difference");
    expect(readInterval(-0.03, 0.05)).toBe("unclear");
    expect(readInterval(0.01, 0.05, 0.02)).toBe("unclear");
  });
  it("turns round when smaller is better", () => {
    expect(readInterval(-0.05, -0.01, 0, false)).toBe("better");
    expect(readInterval(0.01, 0.05, 0, false)).toBe("worse");
  });
});

describe("axes", () => {
  it("always shows zero", () => {
    const [low, high] = domainWithZero([0.2, 0.4]);
    expect(low).toBeLessThanOrEqual(0);
    expect(high).toBeGreaterThan(0.4);
  });
  it("measures the way to an alarm", () => {
    expect(evidence(1, 0.01)).toBeCloseTo(0);
    expect(evidence(0.01, 0.01)).toBeCloseTo(1);
    expect(evidence(0, 0.01)).toBe(2);
  });
});
