import { Button, Select, TextInput } from "@mantine/core";
import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { jobsQuery } from "../../api/queries";
import { ApiError } from "../../api/problem";
import type { Job } from "../../api/types";
import { number, shortId, words } from "../../shared/format";
import { JobsIcon, PlusIcon, SearchIcon } from "../../shared/icons";
import { CopyId, Empty, Freshness, Loaded, PageHead, Panel } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { JOB_KINDS, JOB_STATUSES } from "../../shared/statuses";
import { Status } from "../../shared/Status";
import { type Column, Table } from "../../shared/Table";
import { Ago, Took } from "../../shared/Time";

/** The one number that says most of a job. */
export function headline(metrics: Record<string, number | null>): [string, number] | undefined {
  const names = Object.keys(metrics);
  for (const wanted of [/^test\/(accuracy|r2)$/, /^test\/(?!rows)/, /^v\d+\/accuracy$/, /drifted_columns$/, /^batch\/rows$/, /^val\/accuracy$/, /^val\/loss$/, /accuracy$/, /^train\/loss$/]) {
    const name = names.find((n) => wanted.test(n) && metrics[n] !== null);
    if (name) return [name, metrics[name] as number];
  }
  return undefined;
}

const COLUMNS: Column<Job>[] = [
  { head: "Status", cell: (job) => <Status value={job.status} />, width: 120 },
  {
    head: "Job",
    cell: (job) => (
      <div className="cell-main">
        <Link to="/jobs/$job" params={{ job: job.id }} className="link nowrap" data-row>{job.name || job.id}</Link>
        <span className="cell-sub"><CopyId value={job.id} shown={shortId(job.id)} /></span>
      </div>
    ),
  },
  { head: "Kind", cell: (job) => <span className="tag">{words(job.kind)}</span> },
  {
    head: "Result",
    cell: (job) => {
      const main = headline(job.metrics);
      return (
        <div className="cell-main">
          {main ? <span className="num nowrap">{number(main[1])} <span className="dim">{main[0]}</span></span> : null}
          {["queued", "unknown", "preempting", "failed"].includes(job.status) && job.message ? <span className="cell-sub">{job.message}</span> : null}
        </div>
      );
    },
    minor: true,
  },
  {
    head: "Model",
    cell: (job) => (job.model ? <Link to="/models/$model" params={{ model: job.model.name }} className="link nowrap">{job.model.name} v{job.model.version}</Link> : <span className="dim">–</span>),
    minor: true,
  },
  { head: "Took", align: "right", cell: (job) => <Took from={job.started_at} to={job.ended_at} /> },
  { head: "Created", align: "right", cell: (job) => <div className="cell-main"><Ago at={job.created_at} /><span className="cell-sub">{job.created_by}</span></div>, minor: true },
];

const ORDERS = [
  { value: "", label: "Newest first" },
  { value: "created_at", label: "Oldest first" },
  { value: "started_at desc", label: "Last started first" },
  { value: "ended_at desc", label: "Last ended first" },
  { value: "priority desc, created_at", label: "By priority" },
  { value: "name", label: "By name" },
];

/** What the API says is wrong with one of the query's parameters, and from where on it can't read it. */
function complaintOf(error: Error | null, parameter: "filter" | "order_by"): string | undefined {
  const found = error instanceof ApiError ? error.errors.find((e) => e.pointer === `/${parameter}`) : undefined;
  return found && `${found.message}${found.value ? ` Here: ${String(found.value)}` : ""}`;
}

export function JobsPage() {
  const project = useProject();
  const filter = useSearch({ from: "/shell/jobs" });
  const navigate = useNavigate();
  const jobs = useInfiniteQuery(jobsQuery(project, { status: filter.status, kind: filter.kind, filter: filter.filter, order_by: filter.order_by }));
  const filtered = filter.status !== undefined || filter.kind !== undefined || filter.filter !== undefined;
  const wrong = { filter: complaintOf(jobs.error, "filter"), order: complaintOf(jobs.error, "order_by") };
  const orders = ORDERS.some((o) => o.value === (filter.order_by ?? "")) ? ORDERS : [...ORDERS, { value: filter.order_by ?? "", label: filter.order_by ?? "" }];
  const set = (key: "status" | "kind" | "filter" | "order_by") => (value: string | null) =>
    void navigate({ to: "/jobs", search: (s) => ({ ...s, [key]: value || undefined }) });
  const choices = (all: readonly string[], any: string) => [{ value: "", label: any }, ...all.map((value) => ({ value, label: words(value) }))];
  return (
    <div className="page">
      <PageHead
        title="Jobs"
        sub={<Freshness updatedAt={jobs.dataUpdatedAt} live="every 3 s" failing={jobs.isError} />}
        actions={
          <>
            <Select aria-label="Status" data={choices(JOB_STATUSES, "Any status")} value={filter.status ?? ""} onChange={set("status")} w={140} />
            <Select aria-label="Kind" data={choices(JOB_KINDS, "Any kind")} value={filter.kind ?? ""} onChange={set("kind")} w={150} />
            <Button component={Link} to="/jobs/new" leftSection={<PlusIcon size={14} />} size="sm">New job</Button>
          </>
        }
      />
      <form
        className="row"
        style={{ alignItems: "flex-start" }}
        onSubmit={(event) => {
          event.preventDefault();
          set("filter")(String(new FormData(event.currentTarget).get("filter")).trim());
        }}
      >
        <TextInput
          key={filter.filter ?? ""}
          name="filter"
          aria-label="Filter"
          placeholder={'Filter: name ~ "churn" and metrics.val/loss < 0.2 and created_at > "2026-11-01"'}
          leftSection={<SearchIcon size={14} />}
          defaultValue={filter.filter ?? ""}
          error={wrong.filter}
          maxLength={2000}
          spellCheck={false}
          styles={{ root: { flex: "1 1 260px" }, input: { fontFamily: "var(--mono)" } }}
        />
        <Button type="submit" variant="default">Apply</Button>
        <Select aria-label="Order" data={orders} value={filter.order_by ?? ""} onChange={set("order_by")} error={wrong.order} w={180} />
      </form>
      {!(wrong.filter || wrong.order) && <Panel flush>
        <Loaded query={jobs} lines={10}>
          {(data) => {
            const rows = data.pages.flatMap((page) => page.items);
            if (rows.length === 0) {
              return filtered ? (
                <Empty icon={<JobsIcon size={22} />} title="No job matches">
                  <Link to="/jobs" search={{}} className="link">Show all jobs</Link>
                </Empty>
              ) : (
                <Empty icon={<JobsIcon size={22} />} title="No jobs yet" command="ratchet train --data sklearn://breast_cancer --model cancer --follow">
                  A job is a unit of computing: a training, a sweep, an evaluation, a batch prediction, a drift check, a program of your own. Start the first from a terminal, or with New job.
                </Empty>
              );
            }
            return (
              <>
                <Table rows={rows} columns={COLUMNS} rowKey={(job) => job.id} label="Jobs" />
                {jobs.hasNextPage && (
                  <div className="more"><Button variant="subtle" loading={jobs.isFetchingNextPage} onClick={() => void jobs.fetchNextPage()}>Older jobs</Button></div>
                )}
              </>
            );
          }}
        </Loaded>
      </Panel>}
    </div>
  );
}
