import { describe, expect, it } from "vitest";
import { inProject, scopesWithin, toForm, tokenState, toLimits } from "./access";

describe("tokens", () => {
  it("are never made for more than one may oneself", () => {
    expect(scopesWithin("admin")).toEqual(["admin", "write", "read", "predict"]);
    expect(scopesWithin("write")).toEqual(["write", "read", "predict"]);
    expect(scopesWithin("read")).toEqual(["read"]);
  });
  it("end by being revoked, or by their time", () => {
    const now = Date.parse("2026-11-26T12:00:00Z");
    expect(tokenState({ revoked_at: null, expires_at: null }, now)).toBe("active");
    expect(tokenState({ revoked_at: null, expires_at: "2026-11-26T12:00:01Z" }, now)).toBe("active");
    expect(tokenState({ revoked_at: null, expires_at: "2026-11-26T12:00:00Z" }, now)).toBe("expired");
    expect(tokenState({ revoked_at: "2026-11-01T00:00:00Z", expires_at: "2026-11-02T00:00:00Z" }, now)).toBe("revoked");
  });
});

it("a command names every project but the default one", () => {
  expect(inProject("ratchet queue", "default")).toBe("ratchet queue");
  expect(inProject("ratchet queue", "vision")).toBe("ratchet queue --project vision");
});

describe("limits", () => {
  it("are null where the field is empty, and 0 where it says 0", () => {
    expect(toLimits({ cpus: 8, gpus: 0, memory: 1.5, jobs: "", gpu_hours: "", weight: "" })).toEqual({ cpus: 8, gpus: 0, memory_bytes: 1_610_612_736, jobs: null, gpu_hours: null, weight: 1 });
  });
  it("come back as they were", () => {
    const limits = { cpus: null, gpus: 2, memory_bytes: 68_719_476_736, jobs: 4, gpu_hours: 500, weight: 2 };
    expect(toLimits(toForm(limits))).toEqual(limits);
  });
});
