import type { LogEntry, LogLevel } from "../../api/types";

// oxlint-disable-next-line no-control-regex
const ANSI = /\u001b\[[0-9;?]*[A-Za-z]/g;
const GRAVITY: Record<LogLevel, number> = { debug: 0, info: 1, warning: 2, error: 3 };

export interface Line {
  number: number;
  text: string;
  source: string;
  level: LogLevel;
}

/** Entries as lines: a traceback is one entry of many. */
export function linesOf(entries: readonly LogEntry[]): Line[] {
  const texts = entries.flatMap(({ text, source, level }) => text.replaceAll(ANSI, "").split("\n").map((line) => ({ text: line, source, level })));
  return texts.map((line, i) => ({ ...line, number: i + 1 }));
}

/** What a filter takes of them: of one source, this grave or graver, with a text whatever its case. */
export function matching(lines: readonly Line[], { source, level, search }: { source: string; level: LogLevel | ""; search: string }): Line[] {
  const wanted = search.toLowerCase();
  return lines.filter((l) => (!source || l.source === source) && (!level || GRAVITY[l.level] >= GRAVITY[level]) && l.text.toLowerCase().includes(wanted));
}
