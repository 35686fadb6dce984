import { Button } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useParams, useSearch } from "@tanstack/react-router";
import { alertsQuery, checksQuery, monitorQuery, monitorVerb } from "../../api/queries";
import type { DriftColumn, DriftResult, MonitorCheck } from "../../api/types";
import { duration, number, percent, plural, pValue, utc } from "../../shared/format";
import { LinkIcon, MonitorIcon, WarnIcon } from "../../shared/icons";
import { Empty, Facts, Freshness, Loaded, PageHead, Panel } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { RefLink } from "../../shared/RefLink";
import { evidence } from "../../shared/series";
import { Status } from "../../shared/Status";
import { type Column, Table } from "../../shared/Table";
import { Ago } from "../../shared/Time";
import { HeatMap } from "./HeatMap";
import "./monitors.css";

function columns(threshold: number): Column<DriftColumn>[] {
  return [
    { head: "Column", cell: (c) => <span className="mono nowrap">{c.column}</span> },
    { head: "Verdict", cell: (c) => <Status value={c.drifted ? "drift" : "no_drift"} label={c.drifted ? "drifted" : "as before"} quiet /> },
    { head: "Test", cell: (c) => c.test, minor: true },
    { head: "p", align: "right", cell: (c) => pValue(c.p_value) },
    {
      head: "Evidence",
      cell: (c) => {
        const share = c.p_value === null ? 0 : evidence(c.p_value, threshold) / 2;
        return <span className="evidence" title={`the mark is the threshold, p = ${pValue(threshold)}`}><i style={{ width: `${share * 100}%` }} data-drifted={c.drifted} /></span>;
      },
      width: 150,
    },
    { head: "Mean then", align: "right", cell: (c) => number(c.reference_mean), minor: true },
    { head: "Mean now", align: "right", cell: (c) => number(c.current_mean), minor: true },
  ];
}

function CheckPanel({ check }: { check: MonitorCheck }) {
  const result = (check.result ?? {}) as DriftResult;
  const found = [...(result.columns ?? [])].sort((a, b) => (a.p_value ?? 1) - (b.p_value ?? 1));
  return (
    <Panel
      title="Check"
      flush
      note={`${utc(check.since)} to ${utc(check.until).slice(11)}`}
      aside={
        <>
          <Status value={check.verdict ?? check.status} />
          {check.job && <RefLink kind="job" id={check.job} />}
          {check.report_url && <Button component="a" size="compact-xs" variant="default" href={check.report_url} target="_blank" rel="noreferrer noopener" leftSection={<LinkIcon size={12} />}>Full report</Button>}
        </>
      }
    >
      <p className="pad" style={{ paddingBottom: found.length ? 4 : 14 }}>
        {check.message || (result.rows ? `${plural(result.rows.current ?? 0, "row")} against ${number(result.rows.reference)} of the training data.` : "No result yet.")}
      </p>
      {found.length > 0 && <Table rows={found} columns={columns(result.threshold ?? 0.01)} rowKey={(c) => c.column} label="Columns" />}
    </Panel>
  );
}

function Alerts({ project, monitor }: { project: string; monitor: string }) {
  const alerts = useQuery(alertsQuery(project, monitor));
  return (
    <Panel title="Alerts" flush>
      <Loaded query={alerts} lines={2}>
        {(items) =>
          items.length === 0 ? <p className="dim pad">None was ever raised.</p> : (
            <ul className="alerts">
              {items.map((a) => (
                <li key={a.id}>
                  <WarnIcon size={15} />
                  <div>
                    {a.message}
                    <div className="cell-sub"><Ago at={a.created_at} /> · {a.pipeline_run ? <>started <RefLink kind="pipeline_run" id={a.pipeline_run} /></> : "started nothing"}</div>
                  </div>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </Panel>
  );
}

export function MonitorPage() {
  const project = useProject();
  const { monitor: name } = useParams({ from: "/shell/monitors/$monitor" });
  const { check: wanted } = useSearch({ from: "/shell/monitors/$monitor" });
  const client = useQueryClient();
  const query = useQuery(monitorQuery(project, name));
  const checks = useQuery(checksQuery(project, name));
  const act = useMutation({ mutationFn: (verb: "check" | "pause" | "resume") => monitorVerb(project, name, verb), onSettled: () => client.invalidateQueries({ queryKey: [project] }) });
  const items = checks.data ?? [];
  const selected = items.find((c) => c.id === wanted) ?? items.find((c) => c.result !== null) ?? items[0];
  return (
    <Loaded query={query} lines={8}>
      {(monitor) => (
        <div className="page">
          <PageHead
            title={monitor.name}
            status={<Status value={monitor.status} />}
            sub={<><span>watches <RefLink kind="endpoint" id={monitor.endpoint} /></span><Freshness updatedAt={checks.dataUpdatedAt} live="every 5 s" failing={checks.isRefetchError} /></>}
            actions={
              <>
                <Button variant="default" loading={act.isPending} onClick={() => act.mutate(monitor.status === "paused" ? "resume" : "pause")}>{monitor.status === "paused" ? "Resume" : "Pause"}</Button>
                <Button loading={act.isPending} onClick={() => act.mutate("check")}>Check now</Button>
              </>
            }
          />
          <Panel>
            <Facts items={[
              ["Schedule (UTC)", <span key="c" className="mono">{monitor.schedule}</span>],
              ["Window", duration(monitor.window_s * 1000)],
              ["False alarms", `at most ${percent(monitor.alpha, 1)} of checks`],
              ["Rows", `${number(monitor.min_rows)} to ${number(monitor.max_rows)}`],
              ["On alert", monitor.pipeline ? <RefLink key="p" kind="pipeline" id={monitor.pipeline} /> : "tells, starts nothing"],
              ["Next check", monitor.status === "paused" ? "paused" : <Ago key="n" at={monitor.next_check_at} />],
            ]} />
          </Panel>
          <Panel title="Checks" note="Oldest to newest; pick one to see its columns." flush>
            <Loaded query={checks}>
              {() =>
                items.length === 0 ? <Empty icon={<MonitorIcon size={22} />} title="Not checked yet">The first check comes by the schedule, or at once with Check now.</Empty> : <HeatMap checks={items} selected={selected?.id} link={(check, children, label) => <Link to="/monitors/$monitor" params={{ monitor: name }} search={{ check: check.id }} replace className="heat-pick" aria-label={label} aria-current={check.id === selected?.id ? "true" : undefined}>{children}</Link>} />
              }
            </Loaded>
          </Panel>
          <div className="cols">
            <div className="w8">{selected && <CheckPanel check={selected} />}</div>
            <div className="w4"><Alerts project={project} monitor={name} /></div>
          </div>
        </div>
      )}
    </Loaded>
  );
}
