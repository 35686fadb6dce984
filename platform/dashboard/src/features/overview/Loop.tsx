import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { abtestsQuery, endpointsQuery, onCluster, queueQuery, modelsQuery, monitorsQuery, runsQuery } from "../../api/queries";
import { plural, relativeTime, signed } from "../../shared/format";
import { EndpointIcon, GateIcon, LoopIcon, MonitorIcon, ScaleIcon, TrainIcon } from "../../shared/icons";
import { useProject } from "../../shared/project";
import type { Tone } from "../../shared/Status";
import { useNow } from "../../shared/Time";

interface Station {
  name: string;
  to: string;
  icon: ReactNode;
  count: ReactNode;
  unit: string;
  note: string;
  tone: Tone;
}

function useStations(): Station[] {
  const project = useProject();
  const now = useNow();
  const running = useQuery(onCluster(project)).data;
  const queued = useQuery(queueQuery(project)).data?.items;
  const models = useQuery(modelsQuery(project)).data;
  const endpoints = useQuery(endpointsQuery(project)).data;
  const tests = useQuery(abtestsQuery(project)).data;
  const monitors = useQuery(monitorsQuery(project)).data;
  const runs = useQuery(runsQuery(project)).data;
  const size = (list: unknown[] | undefined): ReactNode => (list ? list.length : "–");

  const training = running?.filter((j) => ["train", "sweep"].includes(j.kind));
  const champions = models?.filter((m) => m.aliases.champion !== undefined);
  const ready = endpoints?.filter((e) => e.status === "ready");
  const live = tests?.filter((t) => t.status === "running");
  const test = live?.[0] ?? tests?.[0];
  const drifting = monitors?.filter((m) => m.last_check?.verdict === "drift");
  const checked = monitors?.map((m) => m.last_check?.created_at).filter((at) => at !== undefined).sort().at(-1);
  const retraining = runs?.filter((r) => r.status === "running");
  const run = runs?.[0];
  return [
    {
      name: "Train", to: "/jobs", icon: <TrainIcon size={18} />, count: size(training), unit: "running",
      note: queued?.length ? `${plural(queued.length, "job")} waiting` : "nothing waits", tone: training?.length ? "run" : "idle",
    },
    {
      name: "Gate", to: "/models", icon: <GateIcon size={18} />, count: size(champions), unit: champions?.length === 1 ? "champion" : "champions",
      note: champions?.[0] ? `${champions[0].name} v${champions[0].aliases.champion}` : "no champion yet", tone: champions?.length ? "ok" : "idle",
    },
    {
      name: "Endpoint", to: "/endpoints", icon: <EndpointIcon size={18} />, count: size(ready), unit: "serving",
      note: endpoints && ready && endpoints.length > ready.length ? `${endpoints.length - ready.length} not ready` : plural(endpoints?.flatMap((e) => e.variants).length ?? 0, "variant"),
      tone: endpoints?.some((e) => e.status === "failed") ? "bad" : endpoints?.some((e) => e.status !== "ready") ? "warn" : ready?.length ? "ok" : "idle",
    },
    {
      name: "A/B test", to: test ? `/abtests/${test.id}` : "/abtests", icon: <ScaleIcon size={18} />, count: size(live), unit: "running",
      note: test?.estimate ? `${test.treatment} ${signed(test.estimate.difference)} against ${test.control}` : "no estimate yet",
      tone: live?.some((t) => t.srm?.alarm) ? "bad" : live?.length ? "run" : "idle",
    },
    {
      name: "Monitor", to: drifting?.[0] ? `/monitors/${drifting[0].name}` : "/monitors", icon: <MonitorIcon size={18} />, count: size(drifting), unit: "drifting",
      note: checked ? `checked ${relativeTime(Date.parse(checked), now)}` : monitors?.length ? "not checked yet" : "no monitor yet",
      tone: drifting?.length ? "bad" : monitors?.length ? "ok" : "idle",
    },
    {
      name: "Retrain", to: run ? `/pipeline-runs/${run.id}` : "/pipelines", icon: <LoopIcon size={18} />, count: size(retraining), unit: "running",
      note: run ? `last by ${run.trigger.kind}: ${run.status}` : "never yet", tone: retraining?.length ? "run" : run?.status === "failed" ? "bad" : "idle",
    },
  ];
}

/** The platform as it is: six stations on one round track, each with what is going on there now. */
export function Loop() {
  const stations = useStations();
  return (
    <section className="loop" aria-label="The loop">
      <svg className="loop-track" aria-hidden="true">
        <rect width="100%" height="100%" rx="2" />
      </svg>
      <ol>
        {stations.map((s, i) => (
          <li key={s.name} className={`loop-${i + 1}`}>
            <Link to={s.to} className={`station station-${s.tone}`}>
              <span className="station-name"><i>{s.icon}</i>{s.name}</span>
              <span className="station-count num">{s.count} <small>{s.unit}</small></span>
              <span className="station-note">{s.note}</span>
            </Link>
            <svg className="loop-arrow" width="18" height="18" viewBox="0 0 18 18" aria-hidden="true"><circle cx="9" cy="9" r="8.5" /><path d="M7 5.5L10.8 9 7 12.5" /></svg>
          </li>
        ))}
      </ol>
    </section>
  );
}
