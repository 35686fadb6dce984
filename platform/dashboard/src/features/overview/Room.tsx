import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { infoQuery, inQueue, onCluster } from "../../api/queries";
import type { Job } from "../../api/types";
import { bytes, number } from "../../shared/format";
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

function Bar({ what, total, jobs }: { what: "cpus" | "gpus"; total: number; jobs: Job[] }) {
  const parts = jobs.map((job) => ({ job, size: demand(job.spec)[what] })).filter((p) => p.size > 0);
  const used = parts.reduce((sum, p) => sum + p.size, 0);
  return (
    <>
      <p className="room-line"><span>{what === "cpus" ? "CPUs" : "GPUs"}</span><span className="dim num">{number(used)} of {number(total)} taken by jobs of this project</span></p>
      <div className="room-bar">
        {parts.map(({ job, size }) => (
          <Link key={job.id} to="/jobs/$job" params={{ job: job.id }} title={`${job.name}: ${size}`} aria-label={`${job.name}: ${size}`} style={{ width: `${Math.min(100, (size / Math.max(total, used)) * 100)}%` }} />
        ))}
      </div>
    </>
  );
}

/** The cluster's room, and who has it. */
export function Room() {
  const project = useProject();
  const info = useQuery(infoQuery);
  const running = useQuery(onCluster(project)).data ?? [];
  const queued = useQuery(inQueue(project)).data ?? [];
  return (
    <Panel
      title="Cluster room"
      aside={info.data?.cluster && <><Status value={info.data.cluster.status} /> <span className="dim">seen <Ago at={info.data.cluster.last_seen_at} /></span></>}
    >
      <Loaded query={info} lines={2}>
        {({ cluster }) => cluster === null ? <p className="dim">No cluster has answered yet.</p> : (
          <>
            <Bar what="cpus" total={cluster.cpus} jobs={running} />
            {cluster.gpus > 0 && <Bar what="gpus" total={cluster.gpus} jobs={running} />}
            <p className="room-line" style={{ margin: "12px 0 0" }}>
              <span className="dim">{cluster.memory_bytes ? `${bytes(cluster.memory_bytes)} of memory in all` : ""}</span>
              <Link to="/jobs" search={{ status: "queued" }} className="link">{queued.length ? `${queued.length} waiting for room` : "Nothing waits"}</Link>
            </p>
          </>
        )}
      </Loaded>
    </Panel>
  );
}
