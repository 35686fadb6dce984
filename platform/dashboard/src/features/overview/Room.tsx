import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { infoQuery, onCluster, queueQuery } from "../../api/queries";
import type { ClusterRoom, Job } from "../../api/types";
import { bytes, number } from "../../shared/format";
import { Meter } from "../../shared/Meter";
import { Loaded, Panel } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { Status } from "../../shared/Status";
import { Ago } from "../../shared/Time";

/** What a job's spec asks of the cluster, over all its workers (or all trials at once). */
export function demand(spec: Record<string, unknown>): { cpus: number; gpus: number } {
  const r = (spec.resources ?? {}) as Record<string, number | undefined>;
  const at = spec.kind === "sweep" ? Math.min(Number(spec.trials ?? 8), Number(spec.max_concurrent ?? 2)) : 1;
  const workers = (r.workers ?? 1) * at;
  return { cpus: workers * (r.cpus_per_worker ?? 1), gpus: workers * (r.gpus_per_worker ?? 0) };
}

function Bar({ what, total, free, jobs }: { what: "cpus" | "gpus"; total: number; free: number; jobs: Job[] }) {
  const parts = jobs.map((job) => ({ job, size: demand(job.spec)[what] })).filter((p) => p.size > 0);
  const used = parts.reduce((sum, p) => sum + p.size, 0);
  const others = Math.max(0, total - free - used);
  const width = (size: number) => `${Math.min(100, (size / Math.max(total, used)) * 100)}%`;
  return (
    <>
      <p className="room-line">
        <span>{what === "cpus" ? "CPUs" : "GPUs"}</span>
        <span className="dim num">{number(used)} of {number(total)} taken by jobs of this project{others > 0 && `, ${number(others)} by others`}, {number(free)} free</span>
      </p>
      <div className="room-bar">
        {parts.map(({ job, size }) => (
          <Link key={job.id} to="/jobs/$job" params={{ job: job.id }} title={`${job.name}: ${size}`} aria-label={`${job.name}: ${size}`} style={{ width: width(size) }} />
        ))}
        {others > 0 && <span className="room-others" title={`Jobs of other projects: ${number(others)}`} style={{ width: width(others) }} />}
      </div>
    </>
  );
}

function Bars({ total, free, jobs }: { total: ClusterRoom; free: ClusterRoom; jobs: Job[] }) {
  const taken = (what: keyof ClusterRoom) => Math.max(0, total[what] - free[what]);
  return (
    <>
      <Bar what="cpus" total={total.cpus} free={total.cpus - taken("cpus")} jobs={jobs} />
      {total.gpus > 0 && <Bar what="gpus" total={total.gpus} free={total.gpus - taken("gpus")} jobs={jobs} />}
      {total.memory_bytes > 0 && <Meter label="Memory" used={taken("memory_bytes")} limit={total.memory_bytes} write={bytes} note="asked for" />}
      <Meter label="Jobs" used={taken("jobs")} limit={total.jobs} note="at once" />
    </>
  );
}

/** The cluster's room, and who has it. */
export function Room() {
  const project = useProject();
  const info = useQuery(infoQuery);
  const queue = useQuery(queueQuery(project));
  const running = useQuery(onCluster(project)).data ?? [];
  const waiting = queue.data?.items.length;
  return (
    <Panel
      title="Cluster room"
      aside={
        <>
          {info.data?.cluster && <><Status value={info.data.cluster.status} /> <span className="dim">seen <Ago at={info.data.cluster.last_seen_at} /></span></>}
          <Link to="/queue" className="link">{waiting ? `${waiting} waiting` : "Nothing waits"}</Link>
        </>
      }
    >
      <Loaded query={queue} lines={2}>
        {({ total, free }) => info.data?.cluster ? <Bars total={total} free={free} jobs={running} /> : <p className="dim">No cluster has answered yet.</p>}
      </Loaded>
    </Panel>
  );
}
