import { Button, Tabs } from "@mantine/core";
import { confirmThen } from "../../shared/confirm";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { cancelJob, isOver, jobKey, jobQuery } from "../../api/queries";
import type { Job } from "../../api/types";
import type { JobView } from "../../router";
import { number, sentence, shortId, words } from "../../shared/format";
import { LinkIcon } from "../../shared/icons";
import { Code, CopyId, Facts, Freshness, Loaded, PageHead, Panel, Stat } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { RefLink } from "../../shared/RefLink";
import { Status } from "../../shared/Status";
import { Table } from "../../shared/Table";
import { Ago, Took } from "../../shared/Time";
import { asCli, asCurl } from "./commands";
import { Curves } from "./Curves";
import { LogView } from "./LogView";
import { Trials } from "./Trials";
import { type Stream, useJobStream } from "./useJobStream";
import { Why } from "./Why";

const LIVE: Record<Stream["state"], string> = { connecting: "connecting", live: "live", polling: "every 3 s", over: "final" };

function Head({ job, stream, failing }: { job: Job; stream: Stream; failing: boolean }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const cancel = useMutation({
    mutationFn: () => cancelJob(job.project, job.id),
    onSuccess: (next) => client.setQueryData(jobKey(job.project, job.id), next),
  });
  return (
    <PageHead
      title={job.name || shortId(job.id)}
      status={<Status value={job.status} />}
      sub={
        <>
          <span className="tag">{words(job.kind)}</span>
          <CopyId value={job.id} />
          <span>by {job.created_by}</span>
          <Ago at={job.created_at} />
          <Freshness updatedAt={stream.heardAt} live={LIVE[stream.state]} failing={failing} />
        </>
      }
      actions={
        <>
          {job.mlflow_url && <Button component="a" href={job.mlflow_url} target="_blank" rel="noreferrer" variant="default" leftSection={<LinkIcon size={13} />}>MLflow run</Button>}
          {["train", "sweep"].includes(job.kind) && <Button variant="default" onClick={() => void navigate({ to: "/jobs/new", search: { from: job.id } })}>Clone</Button>}
          {!isOver(job.status) && job.status !== "cancelling" && (
            <Button color="red" variant="light" loading={cancel.isPending} onClick={() => confirmThen(`Cancel ${job.name || job.id}?`, () => cancel.mutate())}>Cancel</Button>
          )}
        </>
      }
    />
  );
}

function Summary({ job }: { job: Job }) {
  const { data, input, entrypoint } = job.spec as { data?: { uri?: string }; input?: string; entrypoint?: string[] };
  const uri = data?.uri ?? input;
  const tests = Object.entries(job.metrics).filter(([name]) => /^(test|drift|batch|v\d+)\//.test(name));
  return (
    <Panel>
      <div className="stack">
        {tests.length > 0 && <div className="stats">{tests.slice(0, 8).map(([name, value]) => <Stat key={name} label={name} value={number(value)} />)}</div>}
        <Facts
          wide={["Data", "Program"]}
          items={[
            entrypoint ? ["Program", <CopyId key="p" value={entrypoint.join(" ")} />] : ["Data", uri ? <CopyId value={uri} /> : "–"],
            ["Model", job.model ? <RefLink kind="model" id={job.model.name}>{job.model.name} v{job.model.version}</RefLink> : "not registered"],
            ["Started", <Ago key="s" at={job.started_at} />],
            ["Took", <Took key="t" from={job.started_at} to={job.ended_at} />],
            ["Engine", job.engine_status ?? "–"],
            ["MLflow run", job.run_id ? <CopyId value={job.run_id} shown={job.run_id.slice(0, 10)} /> : "–"],
          ]}
        />
      </div>
    </Panel>
  );
}

function Attempts({ job }: { job: Job }) {
  if (job.attempts.length === 0) return null;
  return (
    <Panel title="Attempts" flush note="A new attempt resumes from the last checkpoint.">
      <Table
        label="Attempts"
        rows={job.attempts}
        rowKey={(a) => a.submission_id}
        columns={[
          { head: "#", cell: (a) => a.number, width: 40 },
          { head: "Status", cell: (a) => <Status value={a.status.toLowerCase()} /> },
          { head: "Ray job", cell: (a) => <CopyId value={a.submission_id} /> },
          { head: "What happened", cell: (a) => (a.reason || a.message ? `${sentence(a.reason)}${a.reason && a.message ? ": " : ""}${a.message}` : <span className="dim">–</span>) },
          { head: "Took", align: "right", cell: (a) => <Took from={a.started_at} to={a.ended_at} /> },
        ]}
      />
    </Panel>
  );
}

export function JobPage() {
  const project = useProject();
  const { job: id } = useParams({ from: "/shell/jobs/$job" });
  const view = useSearch({ from: "/shell/jobs/$job" });
  const navigate = useNavigate();
  const query = useQuery(jobQuery(project, id));
  const stream = useJobStream(project, id);
  const show = (change: Partial<JobView>) => void navigate({ to: "/jobs/$job", params: { job: id }, search: (s) => ({ ...s, ...change }), replace: true });
  return (
    <Loaded query={query} lines={8}>
      {(job) => {
        const live = !isOver(job.status);
        const first = job.status === "failed" ? "log" : job.kind === "sweep" ? "trials" : job.kind === "train" ? "curves" : "log";
        const tab = view.tab ?? first;
        return (
          <div className="page">
            <Head job={job} stream={stream} failing={query.isRefetchError} />
            <Why job={job} />
            <Summary job={job} />
            <Panel flush>
              <Tabs value={tab} onChange={(value) => show({ tab: (value ?? first) as JobView["tab"] })} keepMounted={false}>
                <Tabs.List px={8}>
                  {job.kind === "sweep" && <Tabs.Tab value="trials">Trials</Tabs.Tab>}
                  <Tabs.Tab value="curves">Curves</Tabs.Tab>
                  <Tabs.Tab value="log">Log</Tabs.Tab>
                  <Tabs.Tab value="spec">Spec</Tabs.Tab>
                </Tabs.List>
                <Tabs.Panel value="trials"><Trials job={job} live={live} /></Tabs.Panel>
                <Tabs.Panel value="curves"><Curves job={job} live={live && stream.state !== "live"} view={view} onView={show} /></Tabs.Panel>
                <Tabs.Panel value="log"><LogView job={job} stream={stream} /></Tabs.Panel>
                <Tabs.Panel value="spec">
                  <div className="pad stack">
                    <h3 className="sub">The same again, from a terminal</h3>
                    <Code text={asCli(job.spec)} label="CLI command" />
                    <h3 className="sub">By REST</h3>
                    <Code text={asCurl(job.spec, project, window.location.origin)} label="curl command" />
                    <h3 className="sub">Spec</h3>
                    <Code text={JSON.stringify(job.spec, null, 2)} label="spec" />
                    {job.result && <><h3 className="sub">Result</h3><Code text={JSON.stringify(job.result, null, 2)} label="result" /></>}
                  </div>
                </Tabs.Panel>
              </Tabs>
            </Panel>
            <Attempts job={job} />
          </div>
        );
      }}
    </Loaded>
  );
}
