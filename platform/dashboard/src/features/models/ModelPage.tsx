import { Checkbox, Switch } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { useState } from "react";
import { modelQuery } from "../../api/queries";
import type { ModelDetail, ModelVersion } from "../../api/types";
import { number, signed } from "../../shared/format";
import { Code, CopyId, Loaded, PageHead, Panel } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { RefLink } from "../../shared/RefLink";
import { type Column, Table } from "../../shared/Table";
import { Ago } from "../../shared/Time";
import { Aliases } from "./Aliases";
import { AliasHistory, Promotions } from "./Promotions";
import "./models.css";

const MEASURES = /^(test|val)\//;

function Versions({ model, picked, onPick }: { model: ModelDetail; picked: number[]; onPick: (version: number) => void }) {
  const names = [...new Set(model.versions.flatMap((v) => Object.keys(v.metrics)))].filter((m) => m.startsWith("test/")).slice(0, 3);
  const columns: Column<ModelVersion>[] = [
    { head: <span className="sr-only">Compare</span>, cell: (v) => <Checkbox size="xs" aria-label={`Compare version ${v.version}`} checked={picked.includes(v.version)} onChange={() => onPick(v.version)} />, width: 44 },
    { head: "Version", cell: (v) => <b className="num">v{v.version}</b> },
    { head: "Aliases", cell: (v) => <Aliases list={v.aliases} /> },
    ...names.map((m): Column<ModelVersion> => ({ head: m, align: "right", cell: (v) => number(v.metrics[m]) })),
    { head: "Made by", cell: (v) => (v.job ? <RefLink kind="job" id={v.job} /> : <span className="dim">–</span>) },
    { head: "Run", cell: (v) => (v.run_id ? <CopyId value={v.run_id} shown={v.run_id.slice(0, 8)} /> : <span className="dim">–</span>), minor: true },
    { head: "Created", align: "right", cell: (v) => <Ago at={v.created_at} /> },
  ];
  return <Table rows={model.versions} columns={columns} rowKey={(v) => String(v.version)} marked={(v) => v.aliases.includes("champion")} label="Versions" />;
}

/** Versions side by side, each against the first one picked. */
function Compare({ versions }: { versions: ModelVersion[] }) {
  const [differences, setDifferences] = useState(true);
  const names = [...new Set(versions.flatMap((v) => Object.keys(v.metrics)))].filter((m) => MEASURES.test(m)).sort();
  const shown = differences ? names.filter((m) => new Set(versions.map((v) => v.metrics[m])).size > 1) : names;
  const [base] = versions;
  if (!base) return null;
  return (
    <Panel title="Compare" flush note={`against v${base.version}`} aside={<Switch size="xs" label="Only differences" checked={differences} onChange={(e) => setDifferences(e.currentTarget.checked)} />}>
      <Table
        label="Metrics compared"
        rows={shown}
        rowKey={(m) => m}
        columns={[
          { head: "Metric", cell: (m) => <span className="mono">{m}</span> },
          ...versions.map((v, i): Column<string> => ({
            head: `v${v.version}`,
            align: "right",
            cell: (m) => {
              const value = v.metrics[m];
              const start = base.metrics[m];
              return <>{number(value)} {i > 0 && value != null && start != null && <span className="dim">{signed(value - start)}</span>}</>;
            },
          })),
        ]}
      />
    </Panel>
  );
}

export function ModelPage() {
  const project = useProject();
  const { model: name } = useParams({ from: "/shell/models/$model" });
  const query = useQuery(modelQuery(project, name));
  const [chosen, setChosen] = useState<number[] | null>(null);
  return (
    <Loaded query={query} lines={8}>
      {(model) => {
        const fallback = [model.aliases.champion, model.aliases.candidate].filter((v): v is number => v !== undefined);
        const picked = chosen ?? [...new Set(fallback)];
        const toggle = (v: number) => setChosen(picked.includes(v) ? picked.filter((p) => p !== v) : [...picked, v].slice(-5));
        const compared = picked.map((p) => model.versions.find((v) => v.version === p)).filter((v): v is ModelVersion => v !== undefined);
        const next = model.aliases.candidate ?? model.latest_version ?? 1;
        return (
          <div className="page">
            <PageHead title={model.name} sub={model.description || "Versions, and who let them take traffic on what evidence."} />
            <Panel title="Versions" flush note="Tick versions to compare them."><Versions model={model} picked={picked} onPick={toggle} /></Panel>
            {compared.length > 1 && <Compare versions={compared} />}
            <div className="cols">
              <div className="w8"><Promotions project={project} model={name} /></div>
              <div className="w4 stack">
                <AliasHistory project={project} model={name} />
                <Panel title="Promote a version">
                  <Code text={`ratchet models promote ${name}:${next} \\\n  --data sklearn://breast_cancer \\\n  --minimum 0.9 --wait`} />
                </Panel>
              </div>
            </div>
          </div>
        );
      }}
    </Loaded>
  );
}
