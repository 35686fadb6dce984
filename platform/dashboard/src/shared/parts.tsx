/** The small parts every page is made of. */
import { Alert, Button, CopyButton, Skeleton, Tooltip, UnstyledButton } from "@mantine/core";
import type { UseQueryResult } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { ApiError } from "../api/problem";
import { relativeTime } from "./format";
import { CheckIcon, CopyIcon, WarnIcon } from "./icons";
import { useNow } from "./Time";

export function Panel({ title, aside, children, flush = false, note }: {
  title?: ReactNode;
  aside?: ReactNode;
  note?: ReactNode;
  children: ReactNode;
  flush?: boolean;
}) {
  return (
    <section className="panel">
      {title !== undefined && (
        <header className="panel-head">
          <h2>{title}</h2>
          {note && <span className="panel-note">{note}</span>}
          {aside && <div className="panel-aside">{aside}</div>}
        </header>
      )}
      <div className={flush ? "panel-flush" : "panel-body"}>{children}</div>
    </section>
  );
}

export function PageHead({ title, sub, status, actions }: { title: ReactNode; sub?: ReactNode; status?: ReactNode; actions?: ReactNode }) {
  return (
    <header className="page-head">
      <div className="page-head-text">
        <h1>
          {title} {status}
        </h1>
        {sub && <div className="page-sub">{sub}</div>}
      </div>
      {actions && <div className="page-actions">{actions}</div>}
    </header>
  );
}

/** Labelled values; the ones named in `wide` have room for an address. */
export function Facts({ items, wide = [] }: { items: [label: string, value: ReactNode][]; wide?: string[] }) {
  return (
    <dl className="facts">
      {items.map(([label, value]) => (
        <div key={label} className={wide.includes(label) ? "fact-wide" : undefined}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Stat({ label, value, note }: { label: string; value: ReactNode; note?: ReactNode }) {
  return (
    <div className="stat">
      <span className="stat-label">{label}</span>
      <span className="stat-value num">{value}</span>
      {note && <span className="stat-note">{note}</span>}
    </div>
  );
}

/** A command to take along. */
export function Code({ text, label = "command" }: { text: string; label?: string }) {
  return (
    <div className="code">
      {/* A region that scrolls must be reachable by keyboard. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <pre tabIndex={0} role="region" aria-label={label}>{text}</pre>
      <CopyButton value={text} timeout={1500}>
        {({ copied, copy }) => (
          <UnstyledButton className="code-copy" onClick={copy} aria-label={copied ? "Copied" : `Copy ${label}`}>
            {copied ? <CheckIcon size={14} /> : <CopyIcon size={14} />}
          </UnstyledButton>
        )}
      </CopyButton>
    </div>
  );
}

export function CopyId({ value, shown = value }: { value: string; shown?: string }) {
  return (
    <CopyButton value={value} timeout={1500}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? "Copied" : value}>
          <UnstyledButton className="copy-id mono" onClick={copy} aria-label={`Copy ${value}`}>
            {shown} {copied ? <CheckIcon size={12} /> : <CopyIcon size={12} />}
          </UnstyledButton>
        </Tooltip>
      )}
    </CopyButton>
  );
}

export function Empty({ icon, title, children, command }: { icon: ReactNode; title: string; children?: ReactNode; command?: string }) {
  return (
    <div className="empty">
      <div className="empty-icon">{icon}</div>
      <h3>{title}</h3>
      {children && <p>{children}</p>}
      {command && <Code text={command} />}
    </div>
  );
}

export function Problem({ error, retry }: { error: Error; retry?: () => void }) {
  const api = error instanceof ApiError ? error : null;
  return (
    <Alert color="red" variant="light" icon={<WarnIcon />} title={api?.title ?? "The server could not be reached"} className="problem">
      <p>{api ? api.detail : "Is it running? The page goes on trying."}</p>
      {api?.errors.map((e) => (
        <p key={e.pointer + e.message}>
          <code>{e.pointer}</code> {e.message}
        </p>
      ))}
      {api?.hint && <p>{api.hint}</p>}
      {api?.requestId && <p className="dim">Request {api.requestId}</p>}
      {retry && <Button variant="default" onClick={retry}>Try again</Button>}
    </Alert>
  );
}

/** What a query holds, or why it holds nothing yet. */
export function Loaded<T>({ query, children, lines = 4 }: {
  query: Pick<UseQueryResult<T>, "data" | "error" | "refetch">;
  children: (data: T) => ReactNode;
  lines?: number;
}) {
  if (query.data !== undefined) return <>{children(query.data)}</>;
  if (query.error) return <Problem error={query.error} retry={() => void query.refetch()} />;
  return (
    <div className="loading" role="status" aria-label="Loading">
      {Array.from({ length: lines }, (_, i) => <Skeleton key={i} height={14} mt={10} width={`${92 - ((i * 17) % 40)}%`} />)}
    </div>
  );
}

/** How old what is shown is: never a chart of yesterday that looks live. */
export function Freshness({ updatedAt, live, failing }: { updatedAt: number; live: ReactNode; failing?: boolean }) {
  const now = useNow();
  if (!updatedAt) return null;
  return (
    <span className={`fresh${failing ? " fresh-bad" : live === "final" ? " fresh-over" : ""}`}>
      <i aria-hidden="true" />
      {failing ? "connection lost" : live} · updated {relativeTime(updatedAt, Math.max(now, updatedAt))}
    </span>
  );
}
