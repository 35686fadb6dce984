import { describe, expect, it } from "vitest";
import { bytes, duration, number, percent, pValue, relativeTime, shortId, signed, utc } from "./format";

describe("times", () => {
  it("says how long ago, and how soon", () => {
    expect(relativeTime(0, 2_000)).toBe("just now");
    expect(relativeTime(0, 12_000)).toBe("12 s ago");
    expect(relativeTime(0, 125_000)).toBe("2 min ago");
    expect(relativeTime(3 * 3_600_000, 0)).toBe("in 3 h");
    expect(relativeTime(0, 40 * 86_400_000)).toBe("1 mo ago");
  });
  it("writes durations at the size that is read", () => {
    expect(duration(850)).toBe("850 ms");
    expect(duration(4_240)).toBe("4.2 s");
    expect(duration(185_000)).toBe("3 min 05 s");
    expect(duration(7_800_000)).toBe("2 h 10 min");
    expect(duration(76 * 3_600_000)).toBe("3 d 4 h");
    expect(duration(-1)).toBe("–");
  });
  it("names the zone", () => {
    expect(utc("2026-11-26T12:04:31.5Z")).toBe("2026-11-26 12:04:31 UTC");
    expect(utc("nonsense")).toBe("–");
  });
});

describe("numbers", () => {
  it("keeps four significant digits", () => {
    expect(number(0.973684)).toBe("0.9737");
    expect(number(12_430)).toBe("12,430");
    expect(number(1.204e-7)).toBe("1.20e-7");
    expect(number(null)).toBe("–");
    expect(number(Number.NaN)).toBe("NaN");
  });
  it("always signs an effect", () => {
    expect(signed(0.0123)).toBe("+0.0123");
    expect(signed(-0.004)).toBe("−0.004");
    expect(signed(0)).toBe("+0");
    expect(signed(undefined)).toBe("–");
  });
  it("never calls a p-value zero", () => {
    expect(pValue(0)).toBe("< 1e-12");
    expect(pValue(0.0004)).toBe("4.0e-4");
    expect(pValue(0.5)).toBe("0.500");
  });
  it("counts bytes in binary", () => {
    expect(bytes(512)).toBe("512 B");
    expect(bytes(1536)).toBe("1.5 KiB");
    expect(bytes(25 * 1024 ** 3)).toBe("25 GiB");
    expect(percent(0.125, 1)).toBe("12.5 %");
  });
  it("shortens ids to what differs", () => {
    expect(shortId("job-0123456789abcdefghij")).toBe("job-…efghij");
    expect(shortId("champion")).toBe("champion");
  });
});
