import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { monitorsQuery } from "../../api/queries";
import type { Monitor } from "../../api/types";
import { duration } from "../../shared/format";
import { MonitorIcon } from "../../shared/icons";
import { Empty, Loaded, PageHead, Panel } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { RefLink } from "../../shared/RefLink";
import { Status } from "../../shared/Status";
import { type Column, Table } from "../../shared/Table";
import { Ago } from "../../shared/Time";

const COLUMNS: Column<Monitor>[] = [
  { head: "Last verdict", cell: (m) => (m.last_check ? <Status value={m.last_check.verdict ?? m.last_check.status} /> : <span className="dim">not checked yet</span>), width: 150 },
  { head: "Monitor", cell: (m) => <Link to="/monitors/$monitor" params={{ monitor: m.name }} className="link" data-row>{m.name}</Link> },
  { head: "Endpoint", cell: (m) => <RefLink kind="endpoint" id={m.endpoint} /> },
  { head: "Looks", cell: (m) => <div className="cell-main"><span className="mono">{m.schedule}</span><span className="cell-sub">at the last {duration(m.window_s * 1000)}</span></div>, minor: true },
  { head: "On alert", cell: (m) => (m.pipeline ? <RefLink kind="pipeline" id={m.pipeline} /> : <span className="dim">tells, starts nothing</span>), minor: true },
  { head: "Next check", align: "right", cell: (m) => (m.status === "paused" ? <Status value="paused" /> : <Ago at={m.next_check_at} />) },
];

export function MonitorsPage() {
  const monitors = useQuery(monitorsQuery(useProject()));
  return (
    <div className="page">
      <PageHead title="Monitors" sub="What an endpoint is asked, against what its model was trained on, at a stated rate of false alarms." />
      <Panel flush>
        <Loaded query={monitors}>
          {(items) =>
            items.length === 0 ? (
              <Empty icon={<MonitorIcon size={22} />} title="Nothing is watched yet" command={'ratchet monitors create cancer-drift --endpoint cancer --schedule "*/15 * * * *"'}>
                A monitor checks an endpoint's traffic for drift by a schedule; an alert can start a pipeline that retrains.
              </Empty>
            ) : (
              <Table rows={items} columns={COLUMNS} rowKey={(m) => m.id} label="Monitors" />
            )
          }
        </Loaded>
      </Panel>
    </div>
  );
}
