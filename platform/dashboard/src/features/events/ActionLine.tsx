import type { AuditEvent } from "../../api/types";
import { actionWords, kindWords, shortId } from "../../shared/format";
import { RefLink } from "../../shared/RefLink";

/** One event as a sentence: who did what to which. */
export function ActionLine({ event }: { event: AuditEvent }) {
  const verb = event.action.split(".").at(-1);
  return (
    <span>
      <span className="dim">{event.actor}</span> {actionWords(verb)} {kindWords(event.target.kind)}{" "}
      <RefLink kind={event.target.kind} id={event.target.id}>{shortId(event.target.id)}</RefLink>
      {event.message && <span className="cell-sub" style={{ display: "block" }}>{event.message}</span>}
    </span>
  );
}
