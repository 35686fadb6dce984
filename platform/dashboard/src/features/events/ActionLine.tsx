import type { AuditEvent } from "../../api/types";
import { shortId, words } from "../../shared/format";
import { RefLink } from "../../shared/RefLink";

/** One event as a sentence: who did what to which. */
export function ActionLine({ event }: { event: AuditEvent }) {
  const [kind = "", verb = ""] = event.action.split(".", 2);
  return (
    <span>
      <span className="dim">{event.actor}</span> {words(verb || kind)} {words(event.target.kind)}{" "}
      <RefLink kind={event.target.kind} id={event.target.id}>{shortId(event.target.id)}</RefLink>
      {event.message && <span className="cell-sub" style={{ display: "block" }}>{event.message}</span>}
    </span>
  );
}
