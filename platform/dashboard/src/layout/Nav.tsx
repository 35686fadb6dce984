import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { abtestsQuery, endpointsQuery, monitorsQuery, onCluster, queueQuery, runsQuery } from "../api/queries";
import { ClockIcon, EndpointIcon, EventsIcon, HomeIcon, JobsIcon, KeyIcon, ModelIcon, MonitorIcon, PipelineIcon, ScaleIcon } from "../shared/icons";
import { useProject } from "../shared/project";

interface Count {
  value: number | undefined;
  tone: "run" | "bad" | "idle";
  what: string;
}

/** Beside a section stands how much of it is moving, or wrong; nothing when all is calm. */
function useCounts(): Record<string, Count> {
  const project = useProject();
  const running = useQuery(onCluster(project));
  const queue = useQuery(queueQuery(project));
  const endpoints = useQuery(endpointsQuery(project));
  const tests = useQuery(abtestsQuery(project));
  const runs = useQuery(runsQuery(project));
  const monitors = useQuery(monitorsQuery(project));
  return {
    "/jobs": { value: running.data?.length, tone: "run", what: "running" },
    "/queue": { value: queue.data?.items.length, tone: "idle", what: "waiting" },
    "/endpoints": { value: endpoints.data?.filter((e) => ["failed", "degraded"].includes(e.status)).length, tone: "bad", what: "in trouble" },
    "/abtests": { value: tests.data?.filter((t) => t.status === "running").length, tone: "run", what: "running" },
    "/monitors": { value: monitors.data?.filter((m) => m.last_check?.verdict === "drift").length, tone: "bad", what: "drifting" },
    "/pipelines": { value: runs.data?.filter((r) => r.status === "running").length, tone: "run", what: "running" },
  };
}

const LINKS = [
  ["/", "Overview", HomeIcon], ["/jobs", "Jobs", JobsIcon], ["/queue", "Queue", ClockIcon], ["/models", "Models", ModelIcon], ["/endpoints", "Endpoints", EndpointIcon],
  ["/abtests", "A/B tests", ScaleIcon], ["/monitors", "Monitors", MonitorIcon], ["/pipelines", "Pipelines", PipelineIcon], ["/events", "Events", EventsIcon],
  ["/access", "Access", KeyIcon],
] as const;

export function Nav() {
  const counts = useCounts();
  return (
    <nav aria-label="Sections">
      {LINKS.map(([to, label, Icon]) => {
        const count = counts[to];
        return (
          <Link key={to} to={to} className="nav-link" activeOptions={{ exact: to === "/", includeSearch: false }}>
            <Icon size={17} /> {label}
            {count?.value ? <span className="nav-count" data-tone={count.tone}>{count.value}<span className="sr-only"> {count.what}</span></span> : null}
          </Link>
        );
      })}
    </nav>
  );
}
