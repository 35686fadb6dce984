import { describe, expect, it } from "vitest";
import type { LogEntry } from "../../api/types";
import { linesOf, matching } from "./log-lines";

const entry = (source: string, level: LogEntry["level"], text: string): LogEntry => ({ attempt: 1, number: 0, time: "2026-11-26T12:00:00Z", source, level, text });
const lines = linesOf([entry("driver", "info", "started"), entry("rank-0", "warning", "\u001b[33mslow\u001b[0m"), entry("rank-1", "error", "Traceback\n  in f\nValueError: no")]);
const all = { source: "", level: "" as const, search: "" };

describe("a log's lines", () => {
  it("are numbered through, each with its entry's source and level", () => {
    expect(lines.map((l) => `${l.number} ${l.source} ${l.level} ${l.text}`)).toEqual([
      "1 driver info started", "2 rank-0 warning slow", "3 rank-1 error Traceback", "4 rank-1 error   in f", "5 rank-1 error ValueError: no",
    ]);
  });
  it("are taken by source, by level and graver, by text whatever its case", () => {
    expect(matching(lines, all)).toHaveLength(5);
    expect(matching(lines, { ...all, source: "rank-1" }).map((l) => l.number)).toEqual([3, 4, 5]);
    expect(matching(lines, { ...all, level: "warning" }).map((l) => l.number)).toEqual([2, 3, 4, 5]);
    expect(matching(lines, { ...all, search: "valueerror" }).map((l) => l.number)).toEqual([5]);
  });
});
