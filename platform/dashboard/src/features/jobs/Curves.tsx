import { SegmentedControl, Slider, Switch } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { metricsQuery } from "../../api/queries";
import type { Job } from "../../api/types";
import type { JobView } from "../../router";
import { TrainIcon } from "../../shared/icons";
import { LineChart } from "../../shared/LineChart";
import { Empty, Freshness, Loaded } from "../../shared/parts";
import { groupSeries } from "./curves";

interface Props {
  job: Job;
  live: boolean;
  view: JobView;
  onView: (change: Partial<JobView>) => void;
}

export function Curves({ job, live, view, onView }: Props) {
  const query = useQuery(metricsQuery(job.project, job.id, live));
  const smoothing = view.smooth ?? 0;
  const time = view.axis === "time";
  const groups = useMemo(() => groupSeries(query.data ?? [], { smoothing, time }), [query.data, smoothing, time]);
  return (
    <Loaded query={query}>
      {() =>
        groups.length === 0 ? (
          <Empty icon={<TrainIcon size={22} />} title="No curve yet">The metrics of every epoch appear here as they are measured.</Empty>
        ) : (
          <>
            <div className="log-bar curves-bar">
              <SegmentedControl size="xs" data={[{ value: "step", label: "Epoch" }, { value: "time", label: "Seconds" }]} value={view.axis ?? "step"} onChange={(v) => onView({ axis: v === "time" ? "time" : undefined })} />
              <Switch size="xs" label="Log scale" checked={view.log ?? false} onChange={(e) => onView({ log: e.currentTarget.checked || undefined })} />
              <label className="curves-smooth"><span>Smoothing</span>
                <Slider size="sm" w={130} min={0} max={0.99} step={0.01} value={smoothing} onChange={(v) => onView({ smooth: v || undefined })} label={(v) => v.toFixed(2)} thumbLabel="Smoothing" />
              </label>
              <span style={{ marginLeft: "auto" }}><Freshness updatedAt={query.dataUpdatedAt} live="curves" failing={query.isRefetchError} /></span>
            </div>
            <div className="curves">
              {groups.map((g) => (
                <section key={g.name}>
                  <h3 className="sub">{g.name}</h3>
                  <LineChart curves={g.curves} label={`${g.name} of job ${job.name || job.id}`} logY={view.log} xLabel={time ? "seconds" : "epoch"} />
                </section>
              ))}
            </div>
          </>
        )
      }
    </Loaded>
  );
}
