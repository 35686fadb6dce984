import { Button } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { pipelinesQuery, runPipeline, runsQuery } from "../../api/queries";
import type { Pipeline, PipelineRun } from "../../api/types";
import { percent, shortId, words } from "../../shared/format";
import { PipelineIcon, PlayIcon } from "../../shared/icons";
import { Empty, Loaded, PageHead, Panel } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { RefLink } from "../../shared/RefLink";
import { Status } from "../../shared/Status";
import { type Column, Table } from "../../shared/Table";
import { Ago, Took } from "../../shared/Time";
import { FlowLine } from "./Flow";

const RUNS: Column<PipelineRun>[] = [
  { head: "Status", cell: (r) => <Status value={r.status} />, width: 120 },
  { head: "Run", cell: (r) => <Link to="/pipeline-runs/$run" params={{ run: r.id }} className="link" data-row>{shortId(r.id)}</Link> },
  { head: "Pipeline", cell: (r) => r.pipeline },
  { head: "Steps", cell: (r) => <FlowLine steps={r.steps} /> },
  { head: "Started by", cell: (r) => words(r.trigger.kind) },
  { head: "Took", align: "right", cell: (r) => <Took from={r.created_at} to={r.ended_at} />, minor: true },
  { head: "Started", align: "right", cell: (r) => <Ago at={r.created_at} /> },
];

function Pipelines({ project, items }: { project: string; items: Pipeline[] }) {
  const navigate = useNavigate();
  const run = useMutation({ mutationFn: (name: string) => runPipeline(project, name), onSuccess: (made) => void navigate({ to: "/pipeline-runs/$run", params: { run: made.id } }) });
  const columns: Column<Pipeline>[] = [
    { head: "Pipeline", cell: (p) => <b>{p.name}</b> },
    { head: "Trains", cell: (p) => <>{p.spec.train.kind === "sweep" ? "a sweep of " : ""}{p.spec.train.model ? <RefLink kind="model" id={p.spec.train.model} /> : "a model"}</> },
    { head: "Gate", cell: (p) => `${p.spec.gate.metric}${p.spec.gate.minimum == null ? "" : ` ≥ ${p.spec.gate.minimum}`}`, minor: true },
    { head: "Tries it on", cell: (p) => <><RefLink kind="endpoint" id={p.spec.endpoint} /> <span className="dim">{percent(p.spec.challenger_weight ?? 0.5)} of traffic</span></> },
    { head: "Schedule (UTC)", cell: (p) => (p.schedule ? <span className="mono">{p.schedule}</span> : <span className="dim">by hand or by alert</span>), minor: true },
    { head: "", align: "right", cell: (p) => <Button size="compact-xs" variant="default" leftSection={<PlayIcon size={12} />} loading={run.isPending && run.variables === p.name} onClick={() => run.mutate(p.name)} aria-label={`Run ${p.name}`}>Run</Button> },
  ];
  return <Table rows={items} columns={columns} rowKey={(p) => p.id} label="Pipelines" />;
}

export function PipelinesPage() {
  const project = useProject();
  const pipelines = useQuery(pipelinesQuery(project));
  const runs = useQuery(runsQuery(project));
  return (
    <div className="page">
      <PageHead title="Pipelines" sub="Train, pass the gate, deploy beside the champion, compare, promote: the loop as one run." />
      <Panel title="Pipelines" flush>
        <Loaded query={pipelines} lines={3}>
          {(items) =>
            items.length === 0 ? (
              <Empty icon={<PipelineIcon size={22} />} title="No pipeline yet" command={"ratchet schema pipeline > pipeline.schema.json\nratchet pipelines create -f pipeline.yaml"}>
                A pipeline says what is trained, what it must show, and where it is tried. A monitor's alert can start it.
              </Empty>
            ) : (
              <Pipelines project={project} items={items} />
            )
          }
        </Loaded>
      </Panel>
      <Panel title="Runs" flush>
        <Loaded query={runs}>{(items) => (items.length === 0 ? <p className="dim pad">None has run.</p> : <Table rows={items} columns={RUNS} rowKey={(r) => r.id} label="Pipeline runs" />)}</Loaded>
      </Panel>
    </div>
  );
}
