import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { endpointsQuery } from "../../api/queries";
import type { Endpoint } from "../../api/types";
import { EndpointIcon } from "../../shared/icons";
import { CopyId, Empty, Loaded, PageHead, Panel } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { Status } from "../../shared/Status";
import { type Column, Table } from "../../shared/Table";
import { Ago } from "../../shared/Time";
import { WeightsBar } from "./WeightsBar";

const COLUMNS: Column<Endpoint>[] = [
  { head: "Status", cell: (e) => <Status value={e.status} />, width: 120 },
  { head: "Endpoint", cell: (e) => <div className="cell-main"><Link to="/endpoints/$endpoint" params={{ endpoint: e.name }} className="link" data-row>{e.name}</Link><span className="cell-sub"><CopyId value={`${e.url}/predict`} /></span></div> },
  { head: "Traffic", cell: (e) => <WeightsBar variants={e.variants} />, width: "22%" },
  { head: "Variants", cell: (e) => e.variants.map((v) => `${v.name}: ${v.model} v${v.version ?? "?"}`).join(", "), minor: true },
  { head: "Replicas", align: "right", cell: (e) => e.replicas, minor: true },
  { head: "Updated", align: "right", cell: (e) => <Ago at={e.updated_at} /> },
];

export function EndpointsPage() {
  const endpoints = useQuery(endpointsQuery(useProject()));
  return (
    <div className="page">
      <PageHead title="Endpoints" sub="One address, one or more model versions behind it, every prediction logged." />
      <Panel flush>
        <Loaded query={endpoints}>
          {(items) =>
            items.length === 0 ? (
              <Empty icon={<EndpointIcon size={22} />} title="Nothing is served yet" command="ratchet endpoints create cancer -v a=cancer:champion@1 --wait">
                Put a model version behind an address. A second variant beside it makes an A/B test possible.
              </Empty>
            ) : (
              <Table rows={items} columns={COLUMNS} rowKey={(e) => e.id} label="Endpoints" />
            )
          }
        </Loaded>
      </Panel>
    </div>
  );
}
