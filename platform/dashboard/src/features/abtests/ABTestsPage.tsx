import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { abtestsQuery } from "../../api/queries";
import type { ABTest } from "../../api/types";
import { number, signed, words } from "../../shared/format";
import { ScaleIcon } from "../../shared/icons";
import { Empty, Loaded, PageHead, Panel } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { RefLink } from "../../shared/RefLink";
import { Status } from "../../shared/Status";
import { type Column, Table } from "../../shared/Table";
import { Ago } from "../../shared/Time";

const COLUMNS: Column<ABTest>[] = [
  { head: "Status", cell: (t) => <Status value={t.status === "decided" ? t.decision : t.status} />, width: 130 },
  { head: "Test", cell: (t) => <div className="cell-main"><Link to="/abtests/$test" params={{ test: t.id }} className="link" data-row>{t.name}</Link><span className="cell-sub">{t.treatment} against {t.control}</span></div> },
  { head: "Endpoint", cell: (t) => <RefLink kind="endpoint" id={t.endpoint} /> },
  { head: "Metric", cell: (t) => words(t.metric.kind), minor: true },
  {
    head: "Difference",
    align: "right",
    cell: (t) => (t.estimate ? <>{signed(t.estimate.difference)} <span className="dim">[{signed(t.estimate.lower)}, {signed(t.estimate.upper)}]</span></> : <span className="dim">none yet</span>),
  },
  { head: "Outcomes", align: "right", cell: (t) => (t.estimate ? number(t.estimate.units.control + t.estimate.units.treatment) : 0), minor: true },
  { head: "Started", align: "right", cell: (t) => <Ago at={t.created_at} /> },
];

export function ABTestsPage() {
  const tests = useQuery(abtestsQuery(useProject()));
  return (
    <div className="page">
      <PageHead title="A/B tests" sub="Two variants on live traffic, with an interval that holds however often one looks." />
      <Panel flush>
        <Loaded query={tests}>
          {(items) =>
            items.length === 0 ? (
              <Empty icon={<ScaleIcon size={22} />} title="No test yet" command="ratchet abtests create better --endpoint cancer --control a --treatment b">
                An endpoint with two variants can be tested: send outcomes under the request ids, and the verdict comes by itself.
              </Empty>
            ) : (
              <Table rows={items} columns={COLUMNS} rowKey={(t) => t.id} label="A/B tests" />
            )
          }
        </Loaded>
      </Panel>
    </div>
  );
}
