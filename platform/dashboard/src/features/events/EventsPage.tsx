import { Button, TextInput } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { auditQuery } from "../../api/queries";
import type { AuditEvent } from "../../api/types";
import { actionWords, utc, words } from "../../shared/format";
import { EventsIcon, SearchIcon } from "../../shared/icons";
import { Empty, Loaded, PageHead, Panel } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { RefLink } from "../../shared/RefLink";
import { type Column, Table } from "../../shared/Table";
import { Ago } from "../../shared/Time";

const write = (value: unknown): string => (typeof value === "object" && value !== null ? JSON.stringify(value) : String(value ?? "–"));

/** The fields that an event changed. */
export function changes(event: Pick<AuditEvent, "before" | "after">): [field: string, before: string, after: string][] {
  const before = event.before ?? {};
  const after = event.after ?? {};
  return [...new Set([...Object.keys(before), ...Object.keys(after)])]
    .filter((field) => write(before[field]) !== write(after[field]))
    .map((field) => [field, write(before[field]), write(after[field])]);
}

const COLUMNS: Column<AuditEvent>[] = [
  { head: "When", cell: (e) => <div className="cell-main"><Ago at={e.at} /><span className="cell-sub num nowrap">{utc(e.at)}</span></div>, width: 180 },
  { head: "Who", cell: (e) => e.actor },
  { head: "What", cell: (e) => actionWords(e.action) },
  { head: "Which", cell: (e) => <RefLink kind={e.target.kind} id={e.target.id} /> },
  {
    head: "Change",
    cell: (e) => (
      <div className="cell-main">
        {changes(e).slice(0, 5).map(([field, before, after]) => (
          <span key={field} className="cell-sub">{words(field)}: {e.before ? <><s>{before.slice(0, 80)}</s> → </> : null}<span style={{ color: "var(--ink)" }}>{after.slice(0, 120)}</span></span>
        ))}
        {e.message && <span>{e.message}</span>}
      </div>
    ),
    minor: true,
  },
];

export function EventsPage() {
  const project = useProject();
  const { q = "" } = useSearch({ from: "/shell/events" });
  const navigate = useNavigate();
  const [size, setSize] = useState(100);
  const events = useQuery(auditQuery(project, size));
  const matches = (e: AuditEvent): boolean => `${e.actor} ${e.action} ${e.target.kind} ${e.target.id} ${e.message}`.toLowerCase().includes(q.toLowerCase());
  return (
    <div className="page">
      <PageHead
        title="Events"
        sub="Every change: who made it, when, from what, to what. What Ratchet does on its own is by system."
        actions={
          <TextInput
            aria-label="Filter the events"
            placeholder="Filter: actor, action, id …"
            leftSection={<SearchIcon size={14} />}
            value={q}
            onChange={(e) => void navigate({ to: ".", search: (s: Record<string, unknown>) => ({ ...s, q: e.currentTarget.value || undefined }), replace: true })}
            w={260}
          />
        }
      />
      <Panel flush>
        <Loaded query={events} lines={10}>
          {(items) => {
            const rows = items.filter(matches);
            return (
              <>
                {rows.length === 0 ? (
                  <Empty icon={<EventsIcon size={22} />} title={q ? "No event matches" : "No events yet"}>
                    {q ? "Try fewer letters." : "Every change, by a person or by Ratchet itself, is written down here."}
                  </Empty>
                ) : (
                  <Table rows={rows} columns={COLUMNS} rowKey={(e) => String(e.id)} label="Events" />
                )}
                {items.length >= size && size < 1000 && (
                  <div className="more"><Button variant="subtle" onClick={() => setSize(Math.min(1000, size * 2))}>Older events</Button></div>
                )}
              </>
            );
          }}
        </Loaded>
      </Panel>
    </div>
  );
}
