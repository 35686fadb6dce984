import { Button } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { cancelRun, isOver, runQuery } from "../../api/queries";
import type { PipelineRun } from "../../api/types";
import { confirmThen } from "../../shared/confirm";
import { sentence, shortId, words } from "../../shared/format";
import { WarnIcon } from "../../shared/icons";
import { CopyId, Facts, Freshness, Loaded, PageHead, Panel } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { Status } from "../../shared/Status";
import { Ago, Took } from "../../shared/Time";
import { Flow } from "./Flow";

/** Where each step lies on the run's own time: which part of it was waiting, and which was work. */
function Gantt({ run }: { run: PipelineRun }) {
  const start = Date.parse(run.created_at);
  const end = Math.max(run.ended_at ? Date.parse(run.ended_at) : Date.now(), start + 1);
  const done = run.steps.filter((s) => s.started_at !== null);
  if (done.length === 0) return <p className="dim">No step has started.</p>;
  return (
    <div className="gantt">
      {done.map((s) => {
        const from = Date.parse(s.started_at ?? run.created_at);
        const to = s.ended_at ? Date.parse(s.ended_at) : end;
        return (
          <div key={s.name} className="gantt-row">
            <span>{words(s.name)}</span>
            <span className="gantt-track"><i className={`gantt-bar gantt-${s.status}`} style={{ left: `${((from - start) / (end - start)) * 100}%`, width: `${Math.max(0.6, ((to - from) / (end - start)) * 100)}%` }} /></span>
            <span className="right"><Took from={s.started_at} to={s.ended_at} /></span>
          </div>
        );
      })}
    </div>
  );
}

export function RunPage() {
  const project = useProject();
  const { run: id } = useParams({ from: "/shell/pipeline-runs/$run" });
  const query = useQuery(runQuery(project, id));
  const client = useQueryClient();
  const cancel = useMutation({ mutationFn: () => cancelRun(project, id), onSuccess: () => client.invalidateQueries({ queryKey: [project, "pipeline-run", id] }) });
  return (
    <Loaded query={query} lines={8}>
      {(run) => (
        <div className="page">
          <PageHead
            title={`${run.pipeline} ${shortId(run.id).replace(/^\w+-/, "")}`}
            status={<Status value={run.status} />}
            sub={<><CopyId value={run.id} /><Freshness updatedAt={query.dataUpdatedAt} live={isOver(run.status) ? "final" : "every 2 s"} failing={query.isRefetchError} /></>}
            actions={!isOver(run.status) && <Button variant="light" color="red" loading={cancel.isPending} onClick={() => confirmThen("Cancel this run? What it has made stays.", () => cancel.mutate())}>Cancel</Button>}
          />
          {run.message && run.status !== "succeeded" && <div className={`notice notice-${run.status === "failed" ? "bad" : "idle"}`}><WarnIcon /><div><b>{sentence(run.reason)}</b> {run.message}</div></div>}
          <Panel title="Steps" flush><Flow steps={run.steps} /></Panel>
          <div className="cols">
            <div className="w7"><Panel title="Where the time went"><Gantt run={run} /></Panel></div>
            <div className="w5">
              <Panel title="Run">
                <Facts items={[
                  ["Started by", `${words(run.trigger.kind)}${run.trigger.ref ? ` (${shortId(run.trigger.ref)})` : ""}`],
                  ["Actor", run.created_by],
                  ["Started", <Ago key="s" at={run.created_at} />],
                  ["Took", <Took key="t" from={run.created_at} to={run.ended_at} />],
                ]} />
              </Panel>
            </div>
          </div>
        </div>
      )}
    </Loaded>
  );
}
