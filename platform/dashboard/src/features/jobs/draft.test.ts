import { describe, expect, it } from "vitest";
import { EMPTY, fromJobSpec, parseSpace, toJobSpec } from "./draft";
import { fieldsOf } from "./schema-form";

const FIELDS = fieldsOf({ properties: { hidden: { type: "array", items: { type: "integer" } }, learning_rate: { type: "number" } } });

describe("parseSpace", () => {
  it("reads ranges and choices", () => {
    expect(parseSpace("log:1e-3..0.1")).toEqual({ kind: "uniform", low: 0.001, high: 0.1, log: true });
    expect(parseSpace("0..0.5")).toEqual({ kind: "uniform", low: 0, high: 0.5, log: false });
    expect(parseSpace("16, 32")).toEqual({ kind: "choice", values: [16, 32] });
  });
});

describe("toJobSpec", () => {
  it("sends what was filled in, and nothing that was not", () => {
    const spec = toJobSpec({ ...EMPTY, uri: "sklearn://iris", params: { hidden: "32, 16" } }, FIELDS);
    expect(spec).toMatchObject({ kind: "train", data: { uri: "sklearn://iris", target: "target" }, params: { hidden: [32, 16] } });
    expect(spec).not.toHaveProperty("model");
    expect(spec).not.toHaveProperty("search");
  });
  it("does not fix what a sweep searches", () => {
    const spec = toJobSpec({ ...EMPTY, kind: "sweep", params: { learning_rate: 0.1 }, search: { learning_rate: "log:1e-3..0.1" } }, FIELDS);
    expect(spec.params).toEqual({});
    expect(spec.search).toEqual({ learning_rate: { kind: "uniform", low: 0.001, high: 0.1, log: true } });
  });
  it("comes back as it went", () => {
    const draft = { ...EMPTY, kind: "sweep" as const, uri: "u", model: "m", search: { learning_rate: "log:0.001..0.1" } };
    expect(toJobSpec(fromJobSpec(toJobSpec(draft, FIELDS)), FIELDS)).toEqual(toJobSpec(draft, FIELDS));
  });
});
