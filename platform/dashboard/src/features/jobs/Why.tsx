import { useQuery } from "@tanstack/react-query";
import { isOver, waitQuery } from "../../api/queries";
import type { Job } from "../../api/types";
import { sentence } from "../../shared/format";
import { ClockIcon, CrossIcon, WarnIcon } from "../../shared/icons";
import { toneOfLine } from "./LogView";
import type { Stream } from "./useJobStream";

/** Why a job waits, or why it failed: the reason, what to change, and the last lines it wrote. */
export function Why({ job, stream }: { job: Job; stream: Stream }) {
  const waits = job.status === "queued";
  const wait = useQuery({ ...waitQuery(job.project, job.id), enabled: waits });
  if (waits) {
    return (
      <div className="notice notice-run">
        <ClockIcon />
        <div>
          <b>{wait.data?.position ? `Waits at place ${wait.data.position}` : "Waits"}</b> {wait.data?.message || job.message || sentence(job.reason)}
        </div>
      </div>
    );
  }
  if (job.status === "failed") {
    const lines = stream.log.trimEnd().split("\n");
    const from = Math.max(0, lines.findLastIndex((l) => toneOfLine(l) === "bad") - 4);
    return (
      <div className="notice notice-bad">
        <CrossIcon />
        <div style={{ minWidth: 0, flex: 1 }}>
          <b>{sentence(job.reason) || "Failed"}.</b> {job.message}
          {stream.log && <pre className="why-log">{lines.slice(from).slice(-10).join("\n")}</pre>}
        </div>
      </div>
    );
  }
  if (job.message && !isOver(job.status)) return <div className="notice notice-idle"><WarnIcon /> <div>{job.message}</div></div>;
  return null;
}
