import { describe, expect, it } from "vitest";
import { asCli, asCurl } from "./commands";

describe("asCli", () => {
  it("says what differs from the defaults", () => {
    expect(asCli({ kind: "train", recipe: "tabular", data: { uri: "sklearn://breast_cancer", target: "target" }, params: { hidden: [64, 64] }, resources: { workers: 2, cpus_per_worker: 1 }, seed: 0, model: "cancer" })).toBe(
      "ratchet train \\\n  --data sklearn://breast_cancer \\\n  --model cancer \\\n  -p 'hidden=[64,64]' \\\n  --workers 2",
    );
  });
  it("writes the ranges of a sweep", () => {
    const text = asCli({ kind: "sweep", data: { uri: "file:///my data.csv" }, search: { learning_rate: { kind: "uniform", low: 0.001, high: 0.1, log: true }, dropout: { kind: "choice", values: [0, 0.1] } } });
    expect(text).toContain("--data 'file:///my data.csv'");
    expect(text).toContain("-s learning_rate=log:0.001..0.1");
    expect(text).toContain("-s 'dropout=[0,0.1]'");
  });
});

describe("asCurl", () => {
  it("quotes what a shell would read", () => {
    expect(asCurl({ name: "it's" }, "default", "http://h")).toContain(`'{"name":"it'\\''s"}'`);
  });
});
