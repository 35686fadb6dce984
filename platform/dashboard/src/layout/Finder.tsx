import { Spotlight, type SpotlightActionData } from "@mantine/spotlight";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { endpointsQuery, modelsQuery, monitorsQuery, recentJobs } from "../api/queries";
import { ClockIcon, EndpointIcon, EventsIcon, HomeIcon, JobsIcon, KeyIcon, ModelIcon, MonitorIcon, PipelineIcon, PlusIcon, ScaleIcon, SearchIcon } from "../shared/icons";
import { useProject } from "../shared/project";
import { pathOf } from "../shared/RefLink";

/** Ctrl K: pages, and what there is in the project. */
export default function Finder() {
  const project = useProject();
  const navigate = useNavigate();
  const jobs = useQuery(recentJobs(project));
  const models = useQuery(modelsQuery(project));
  const endpoints = useQuery(endpointsQuery(project));
  const monitors = useQuery(monitorsQuery(project));
  const go = (to: string) => () => void navigate({ to });
  const pages: SpotlightActionData[] = [
    { id: "new", label: "New job", description: "Train or sweep", leftSection: <PlusIcon />, onClick: go("/jobs/new") },
    { id: "overview", label: "Overview", leftSection: <HomeIcon />, onClick: go("/") },
    { id: "jobs", label: "Jobs", leftSection: <JobsIcon />, onClick: go("/jobs") },
    { id: "queue", label: "Queue", leftSection: <ClockIcon />, onClick: go("/queue") },
    { id: "models", label: "Models", leftSection: <ModelIcon />, onClick: go("/models") },
    { id: "endpoints", label: "Endpoints", leftSection: <EndpointIcon />, onClick: go("/endpoints") },
    { id: "abtests", label: "A/B tests", leftSection: <ScaleIcon />, onClick: go("/abtests") },
    { id: "monitors", label: "Monitors", leftSection: <MonitorIcon />, onClick: go("/monitors") },
    { id: "pipelines", label: "Pipelines", leftSection: <PipelineIcon />, onClick: go("/pipelines") },
    { id: "events", label: "Events", leftSection: <EventsIcon />, onClick: go("/events") },
    { id: "access", label: "Access", description: "Members, tokens, webhooks, quota", leftSection: <KeyIcon />, onClick: go("/access") },
  ];
  const found = (kind: string, list: { id: string; label: string; note: string }[]): SpotlightActionData[] =>
    list.map(({ id, label, note }) => ({ id: `${kind}/${id}`, label, description: note, onClick: go(pathOf(kind, id) ?? "/") }));
  return (
    <Spotlight
      actions={[
        ...pages,
        ...found("model", (models.data ?? []).map((m) => ({ id: m.name, label: m.name, note: "Model" }))),
        ...found("endpoint", (endpoints.data ?? []).map((e) => ({ id: e.name, label: e.name, note: "Endpoint" }))),
        ...found("monitor", (monitors.data ?? []).map((m) => ({ id: m.name, label: m.name, note: "Monitor" }))),
        ...found("job", (jobs.data ?? []).map((j) => ({ id: j.id, label: j.name ?? j.id, note: `Job · ${j.status} · ${j.id}` }))),
      ]}
      shortcut={null}
      limit={9}
      highlightQuery
      nothingFound="Nothing by that name"
      searchProps={{ leftSection: <SearchIcon />, placeholder: "Find a page, a job, a model …", "aria-label": "Find" }}
    />
  );
}
