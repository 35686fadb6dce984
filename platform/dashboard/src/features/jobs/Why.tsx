import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { isOver, waitQuery } from "../../api/queries";
import type { Failure, Job } from "../../api/types";
import { plural, sentence } from "../../shared/format";
import { ClockIcon, CrossIcon, WarnIcon } from "../../shared/icons";
import { Code, Facts, Panel } from "../../shared/parts";
import { RefLink } from "../../shared/RefLink";
import { Ago } from "../../shared/Time";

/** When a job will start, as far as can be told, and what that rests on. */
export function PredictedStart({ at, basis }: { at: string | null | undefined; basis: "history" | "deadline" | null | undefined }) {
  if (!at) return <span className="dim">can't be told</span>;
  return <><Ago at={at} /> <span className="dim">{basis === "deadline" ? "at the latest, by deadlines" : basis === "history" && "by how long such jobs took"}</span></>;
}

function Waits({ job }: { job: Job }) {
  const { data: wait } = useQuery(waitQuery(job.project, job.id));
  return (
    <div className="notice notice-run">
      <ClockIcon />
      <div>
        <b>Waits{wait?.position ? <> at <Link to="/queue" className="link">position {wait.position} in the queue</Link></> : null}.</b> {wait?.message || job.message || sentence(job.reason)}
        {wait?.predicted_start_at && <div>Starts <PredictedStart at={wait.predicted_start_at} basis={wait.predicted_start_basis} />.</div>}
        {wait?.blocked_by && wait.blocked_by.length > 0 && (
          <div>
            {plural(wait.blocked_by.length, "job")} of this project before it:{" "}
            {wait.blocked_by.slice(0, 5).map((id, i) => <span key={id}>{i > 0 && ", "}<RefLink kind="job" id={id} /></span>)}
            {wait.blocked_by.length > 5 && " …"}
          </div>
        )}
      </div>
    </div>
  );
}

function Failed({ failure }: { failure: Failure }) {
  return (
    <Panel title="Why it failed" note={sentence(failure.reason)}>
      <div className="stack">
        <div className="notice notice-bad">
          <CrossIcon />
          <div style={{ minWidth: 0, overflowWrap: "anywhere" }}>
            <b>{failure.message}</b>
            {failure.suggestion && <div>{failure.suggestion}</div>}
          </div>
        </div>
        <Facts
          wide={["Error"]}
          items={[
            ["Error", failure.error ? <span key="e" className="mono">{failure.error}</span> : "–"],
            ["First worker to fail", failure.rank === null ? "–" : `rank ${failure.rank}`],
            ["Exit code", failure.exit_code ?? "–"],
          ]}
        />
        {failure.log_tail && <Code text={failure.log_tail} label="end of the log" />}
      </div>
    </Panel>
  );
}

/** Why a job waits, or why it failed: the reason, what to change, and the last lines it wrote. */
export function Why({ job }: { job: Job }) {
  if (job.status === "queued") return <Waits job={job} />;
  if (job.status === "failed" && job.failure) return <Failed failure={job.failure} />;
  if (job.status === "failed") return <div className="notice notice-bad"><CrossIcon /> <div><b>{sentence(job.reason) || "Failed"}.</b> {job.message}</div></div>;
  if (job.message && !isOver(job.status)) return <div className="notice notice-idle"><WarnIcon /> <div>{job.message}</div></div>;
  return null;
}
