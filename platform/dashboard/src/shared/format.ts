/** How numbers, times and names are written. Pure, so that they can be tested. */

const UNITS: [number, string][] = [
  [365 * 86_400, "y"],
  [30 * 86_400, "mo"],
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
];

/** "just now", "12 s ago", "3 min ago", "in 5 min". Milliseconds since the epoch in, words out. */
export function relativeTime(at: number, now: number): string {
  const seconds = Math.round((now - at) / 1000);
  const distance = Math.abs(seconds);
  if (distance < 5) return "just now";
  const [size, unit] = UNITS.find(([s]) => distance >= s) ?? [1, "s"];
  const words = `${Math.floor(distance / size)} ${unit}`;
  return seconds < 0 ? `in ${words}` : `${words} ago`;
}

/** "850 ms", "12.4 s", "3 min 05 s", "2 h 10 min", "3 d 4 h". */
export function duration(milliseconds: number): string {
  if (!Number.isFinite(milliseconds) || milliseconds < 0) return "–";
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const s = milliseconds / 1000;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return `${minutes} min ${String(Math.floor(s % 60)).padStart(2, "0")} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** "2026-11-26 12:04:31 UTC". */
export function utc(at: string | number): string {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return "–";
  return `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** Four significant digits, without noise: 0.9737, 1.204e-7, 12,430. */
export function number(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  if (!Number.isFinite(value)) return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en-US");
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential(2);
  if (size >= 1000) return value.toLocaleString("en-US", { maximumFractionDigits: 1 });
  return String(Number(value.toPrecision(4)));
}

/** "+0.012", "−0.004": the sign is always there, since the sign is the point. */
export function signed(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const digits = size !== 0 && size < 1e-4 ? size.toExponential(1) : String(Number(size.toPrecision(3)));
  return `${value < 0 ? "−" : "+"}${digits}`;
}

export function percent(share: number, digits = 0): string {
  return `${(share * 100).toFixed(digits)} %`;
}

/** A p-value: never "0". */
export function pValue(p: number | null | undefined): string {
  if (p === null || p === undefined || !Number.isFinite(p)) return "–";
  if (p < 1e-12) return "< 1e-12";
  return p < 0.001 ? p.toExponential(1) : p.toFixed(3);
}

export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  const exponent = Math.min(4, Math.floor(Math.log2(count) / 10));
  const value = count / 1024 ** exponent;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${["B", "KiB", "MiB", "GiB", "TiB"][exponent]}`;
}

/** `waiting_for_room` as a person reads it. */
export function words(code: string | null | undefined): string {
  return code ? code.replaceAll("_", " ") : "";
}

/** The kind of a resource as it is called: "A/B test", "pipeline run". */
export function kindWords(kind: string): string {
  return kind === "abtest" ? "A/B test" : words(kind);
}

/** "job.submitted" as "job submitted". */
export function actionWords(action: string | undefined): string {
  return (action ?? "").split(".").map(kindWords).join(" ");
}

export function sentence(code: string | null | undefined): string {
  const text = words(code);
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** An id short enough for a table: its kind and its last characters, which differ most. */
export function shortId(id: string): string {
  const dash = id.indexOf("-");
  return dash > 0 && id.length - dash > 9 ? `${id.slice(0, dash)}-…${id.slice(-6)}` : id.length > 14 ? `${id.slice(0, 8)}…` : id;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString("en-US")} ${count === 1 ? one : many}`;
}
