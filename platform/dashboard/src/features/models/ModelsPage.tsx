import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { modelsQuery } from "../../api/queries";
import type { Model } from "../../api/types";
import { ModelIcon } from "../../shared/icons";
import { Empty, Loaded, PageHead, Panel } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { type Column, Table } from "../../shared/Table";
import { Aliases } from "./Aliases";

const COLUMNS: Column<Model>[] = [
  { head: "Model", cell: (m) => <div className="cell-main"><Link to="/models/$model" params={{ model: m.name }} className="link" data-row>{m.name}</Link>{m.description && <span className="cell-sub">{m.description}</span>}</div> },
  { head: "Champion", cell: (m) => (m.aliases.champion ? <span className="tag tag-strong">v{m.aliases.champion}</span> : <span className="dim">none yet</span>) },
  { head: "Other aliases", cell: (m) => <Aliases list={Object.entries(m.aliases).filter(([a]) => a !== "champion").map(([a, v]) => `${a} → v${v}`)} />, minor: true },
  { head: "Latest", align: "right", cell: (m) => (m.latest_version ? `v${m.latest_version}` : "–") },
];

export function ModelsPage() {
  const models = useQuery(modelsQuery(useProject()));
  return (
    <div className="page">
      <PageHead title="Models" sub="A version becomes champion when it has passed its gate, and never otherwise." />
      <Panel flush>
        <Loaded query={models}>
          {(items) =>
            items.length === 0 ? (
              <Empty icon={<ModelIcon size={22} />} title="No model yet" command="ratchet train --data sklearn://breast_cancer --model cancer --follow">
                A training that names a model registers its result as a version of it, under the alias candidate.
              </Empty>
            ) : (
              <Table rows={items} columns={COLUMNS} rowKey={(m) => m.name} label="Models" />
            )
          }
        </Loaded>
      </Panel>
    </div>
  );
}
