import { Tooltip } from "@mantine/core";
import { useSyncExternalStore } from "react";
import { duration, relativeTime, utc } from "./format";

/** One clock for all relative times on the page. */
let now = Date.now();
const listeners = new Set<() => void>();
let timer: number | undefined;
function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= window.setInterval(() => {
    now = Date.now();
    for (const each of listeners) each();
  }, 1000);
  return () => {
    listeners.delete(listener);
    if (listeners.size === 0) {
      window.clearInterval(timer);
      timer = undefined;
    }
  };
}
export const useNow = (): number => useSyncExternalStore(subscribe, () => now);

/** When something was, told from now; the absolute time on hover and for screen readers. */
export function Ago({ at }: { at: string | number | null | undefined }) {
  const current = useNow();
  if (at === null || at === undefined) return <span className="dim">–</span>;
  const time = new Date(at).getTime();
  return (
    <Tooltip label={utc(at)}>
      <time dateTime={new Date(time).toISOString()} className="nowrap">
        {relativeTime(time, Math.max(current, time < Date.now() ? time : current))}
      </time>
    </Tooltip>
  );
}

/** How long something took, or takes so far. */
export function Took({ from, to }: { from: string | null | undefined; to: string | null | undefined }) {
  const current = useNow();
  if (!from) return <span className="dim">–</span>;
  const end = to ? new Date(to).getTime() : current;
  return <span className="nowrap num">{duration(Math.max(0, end - new Date(from).getTime()))}</span>;
}
