import type { ComponentType } from "react";
import { words } from "./format";
import { CheckIcon, ClockIcon, CrossIcon, PauseIcon, SpinIcon, StopIcon, WarnIcon } from "./icons";
import "./status.css";

export type Tone = "ok" | "bad" | "warn" | "run" | "idle";

const TONES: Record<Tone, string[]> = {
  ok: ["succeeded", "ready", "passed", "promote", "active", "no_drift", "connected", "up", "alive", "healthy", "delivered"],
  bad: ["failed", "drift", "roll_back", "down", "unreachable", "dead"],
  warn: ["degraded", "refused", "inconclusive", "insufficient_data", "cancelling", "preempting", "unknown", "deleting"],
  run: ["starting", "running", "finalizing", "deploying", "updating", "loading", "evaluating", "go_on"],
  idle: ["queued", "pending", "cancelled", "skipped", "stopped", "paused", "decided", "revoked", "expired"],
};
const TONE_OF = new Map(Object.entries(TONES).flatMap(([tone, list]) => list.map((status) => [status, tone as Tone])));

type Icon = ComponentType<{ size?: number; className?: string }>;
const ICON_OF_TONE: Record<Tone, Icon> = { ok: CheckIcon, bad: CrossIcon, warn: WarnIcon, run: SpinIcon, idle: ClockIcon };
const ICON_OF: Record<string, Icon> = { cancelled: StopIcon, skipped: StopIcon, stopped: StopIcon, revoked: StopIcon, expired: StopIcon, decided: CheckIcon, paused: PauseIcon };

export const toneOf = (status: string): Tone => TONE_OF.get(status) ?? "idle";

/** A status in colour, sign and word: never by colour alone. */
export function Status({ value, label, quiet = false }: { value: string; label?: string; quiet?: boolean }) {
  const tone = toneOf(value);
  const Icon = ICON_OF[value] ?? ICON_OF_TONE[tone];
  return (
    <span className={`status status-${tone}${quiet ? " status-quiet" : ""}`}>
      <Icon size={12} className={tone === "run" ? "status-spin" : undefined} />
      {label ?? words(value)}
    </span>
  );
}
