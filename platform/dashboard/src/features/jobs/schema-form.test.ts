import { describe, expect, it } from "vitest";
import { errorAt, fieldsOf, parseNumbers, unplaced } from "./schema-form";

const SCHEMA = {
  properties: {
    hidden: { type: "array", items: { type: "integer" }, default: [64, 64], description: "Width of each hidden layer." },
    dropout: { type: "number", minimum: 0, exclusiveMaximum: 1, default: 0.1 },
    task: { enum: ["auto", "classification"], default: "auto" },
    limit: { anyOf: [{ type: "integer", minimum: 1 }, { type: "null" }], default: null },
    shuffle: { type: "boolean", default: true },
  },
  required: ["hidden"],
};

describe("fieldsOf", () => {
  it("draws a field for every kind of parameter", () => {
    const fields = fieldsOf(SCHEMA);
    expect(fields.map((f) => f.kind)).toEqual(["numbers", "number", "choice", "integer", "flag"]);
    expect(fields[0]).toMatchObject({ label: "Hidden", description: "Width of each hidden layer.", required: true });
    expect(fields[1]?.bounds).toBe("at least 0, below 1");
    expect(fields[2]?.choices).toEqual(["auto", "classification"]);
  });
});

describe("errors", () => {
  const errors = [{ pointer: "/params/hidden/1", message: "too small" }, { pointer: "/train/data/uri", message: "empty" }, { pointer: "/seed", message: "negative" }];
  it("find their field, by the field's own pointer or one inside it", () => {
    expect(errorAt(errors, "/params/hidden")).toBe("too small");
    expect(errorAt(errors, "/data/uri")).toBe("empty");
    expect(errorAt(errors, "/params/hid")).toBeUndefined();
  });
  it("that have no field are kept", () => {
    expect(unplaced(errors, ["/params/hidden", "/data/uri"])).toEqual([errors[2]]);
  });
});

describe("parseNumbers", () => {
  it("keeps what is no number, so that the API can name it", () => {
    expect(parseNumbers("64, 32 x")).toEqual([64, 32, "x"]);
  });
});
