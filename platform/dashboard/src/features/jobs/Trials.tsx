import { useQuery } from "@tanstack/react-query";
import { trialsQuery } from "../../api/queries";
import type { Job, Trial } from "../../api/types";
import { number, sentence } from "../../shared/format";
import { StarIcon, TrainIcon } from "../../shared/icons";
import { CopyId, Empty, Loaded } from "../../shared/parts";
import { Status } from "../../shared/Status";
import { type Column, Table } from "../../shared/Table";

const MLFLOW: Record<string, string> = { FINISHED: "succeeded", RUNNING: "running", FAILED: "failed", KILLED: "cancelled", SCHEDULED: "queued" };

/** Best first; what has no value yet comes last. */
export function ranked(trials: readonly Trial[], metric: string, mode: string): Trial[] {
  const worst = mode === "max" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  const value = (t: Trial): number => t.metrics[metric] ?? worst;
  return [...trials].sort((a, b) => Number(b.best) - Number(a.best) || (mode === "max" ? value(b) - value(a) : value(a) - value(b)) || 0);
}

export function Trials({ job, live }: { job: Job; live: boolean }) {
  const query = useQuery(trialsQuery(job.project, job.id, live));
  const metric = String(job.spec.metric ?? "val/loss");
  const mode = String(job.spec.mode ?? "min");
  const searched = Object.keys((job.spec.search ?? {}) as object);
  return (
    <Loaded query={query}>
      {(trials) => {
        if (trials.length === 0) return <Empty icon={<TrainIcon size={22} />} title="No trial has started">Each trial appears here with its parameters, as a child run in MLflow.</Empty>;
        const others = [...new Set(trials.flatMap((t) => Object.keys(t.metrics)))].filter((m) => m !== metric && /^(val|test)\//.test(m)).slice(0, 3);
        const columns: Column<Trial>[] = [
          { head: "", cell: (t) => (t.best ? <span className="tag tag-strong"><StarIcon size={12} /> best</span> : null), width: 70 },
          { head: "Status", cell: (t) => { const s = MLFLOW[t.status] ?? t.status.toLowerCase(); return <Status value={s} label={sentence(s)} quiet />; } },
          { head: `${metric} (${mode})`, align: "right", cell: (t) => <b>{number(t.metrics[metric])}</b> },
          ...others.map((m): Column<Trial> => ({ head: m, align: "right", cell: (t) => number(t.metrics[m]) })),
          ...searched.map((p): Column<Trial> => ({ head: p, align: "right", cell: (t) => shown(t.params[p] ?? t.params[`params.${p}`]) })),
          { head: "Run", cell: (t) => <CopyId value={t.run_id} shown={t.run_id.slice(0, 8)} />, minor: true },
        ];
        return <Table label="Trials" rows={ranked(trials, metric, mode)} columns={columns} rowKey={(t) => t.run_id} marked={(t) => t.best} />;
      }}
    </Loaded>
  );
}

function shown(value: string | undefined): string {
  if (value === undefined) return "–";
  const parsed = Number(value);
  return value !== "" && Number.isFinite(parsed) ? number(parsed) : value;
}
