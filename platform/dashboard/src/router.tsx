import type { QueryClient } from "@tanstack/react-query";
import { createRootRouteWithContext, createRoute, createRouter, lazyRouteComponent, Outlet, retainSearchParams } from "@tanstack/react-router";
import { OverviewPage } from "./features/overview/OverviewPage";
import { isLoginFailure, type LoginFailure } from "./features/session/login-failures";
import { SignInPage } from "./features/session/SignInPage";
import { NotFound } from "./layout/NotFound";
import { Shell } from "./layout/Shell";
import { isJobStatus, type JobStatus } from "./shared/statuses";

interface Context {
  queryClient: QueryClient;
}
type Search = Record<string, unknown>;
const text = (value: unknown): string | undefined => (typeof value === "string" && value !== "" ? value : undefined);

const root = createRootRouteWithContext<Context>()({
  component: Outlet,
  notFoundComponent: NotFound,
  validateSearch: (s: Search): { project?: string } => (text(s.project) ? { project: text(s.project) } : {}),
  search: { middlewares: [retainSearchParams(["project"])] },
});

const signIn = createRoute({
  getParentRoute: () => root,
  path: "/sign-in",
  component: SignInPage,
  validateSearch: (s: Search): { next?: string; error?: LoginFailure | undefined } => ({
    ...(text(s.next) ? { next: text(s.next) } : {}),
    error: isLoginFailure(s.error) ? s.error : undefined, // left out, what is in the address would stand
  }),
});

const shell = createRoute({ getParentRoute: () => root, id: "shell", component: Shell });

const overview = createRoute({ getParentRoute: () => shell, path: "/", component: OverviewPage });

const jobs = createRoute({
  getParentRoute: () => shell,
  path: "/jobs",
  component: lazyRouteComponent(() => import("./features/jobs/JobsPage"), "JobsPage"),
  validateSearch: (s: Search): { status?: JobStatus; kind?: string; filter?: string; order_by?: string } => ({
    ...(isJobStatus(s.status) && { status: s.status }),
    ...(text(s.kind) && { kind: text(s.kind) }),
    ...(text(s.filter) && { filter: text(s.filter) }),
    ...(text(s.order_by) && { order_by: text(s.order_by) }),
  }),
});
const newJob = createRoute({
  getParentRoute: () => shell,
  path: "/jobs/new",
  component: lazyRouteComponent(() => import("./features/jobs/NewJobPage"), "NewJobPage"),
  validateSearch: (s: Search): { from?: string } => (text(s.from) ? { from: text(s.from) } : {}),
});
export interface JobView {
  tab?: "curves" | "log" | "trials" | "spec";
  smooth?: number;
  axis?: "time";
  log?: boolean;
}
const job = createRoute({
  getParentRoute: () => shell,
  path: "/jobs/$job",
  component: lazyRouteComponent(() => import("./features/jobs/JobPage"), "JobPage"),
  validateSearch: (s: Search): JobView => ({
    ...(["curves", "log", "trials", "spec"].includes(String(s.tab)) && { tab: s.tab as JobView["tab"] }),
    ...(typeof s.smooth === "number" && s.smooth > 0 && { smooth: Math.min(s.smooth, 0.999) }),
    ...(s.axis === "time" && { axis: "time" as const }),
    ...(s.log === true && { log: true }),
  }),
});
const queue = createRoute({
  getParentRoute: () => shell,
  path: "/queue",
  component: lazyRouteComponent(() => import("./features/queue/QueuePage"), "QueuePage"),
  validateSearch: (s: Search): { all?: true | undefined } => ({ ...(s.all === true && { all: true as const }) }),
});

const models = createRoute({ getParentRoute: () => shell, path: "/models", component: lazyRouteComponent(() => import("./features/models/ModelsPage"), "ModelsPage") });
const model = createRoute({ getParentRoute: () => shell, path: "/models/$model", component: lazyRouteComponent(() => import("./features/models/ModelPage"), "ModelPage") });
const endpoints = createRoute({ getParentRoute: () => shell, path: "/endpoints", component: lazyRouteComponent(() => import("./features/endpoints/EndpointsPage"), "EndpointsPage") });
const endpoint = createRoute({ getParentRoute: () => shell, path: "/endpoints/$endpoint", component: lazyRouteComponent(() => import("./features/endpoints/EndpointPage"), "EndpointPage") });
const abtests = createRoute({ getParentRoute: () => shell, path: "/abtests", component: lazyRouteComponent(() => import("./features/abtests/ABTestsPage"), "ABTestsPage") });
const abtest = createRoute({ getParentRoute: () => shell, path: "/abtests/$test", component: lazyRouteComponent(() => import("./features/abtests/ABTestPage"), "ABTestPage") });
const monitors = createRoute({ getParentRoute: () => shell, path: "/monitors", component: lazyRouteComponent(() => import("./features/monitors/MonitorsPage"), "MonitorsPage") });
const monitor = createRoute({
  getParentRoute: () => shell,
  path: "/monitors/$monitor",
  component: lazyRouteComponent(() => import("./features/monitors/MonitorPage"), "MonitorPage"),
  validateSearch: (s: Search): { check?: string } => (text(s.check) ? { check: text(s.check) } : {}),
});
const pipelines = createRoute({ getParentRoute: () => shell, path: "/pipelines", component: lazyRouteComponent(() => import("./features/pipelines/PipelinesPage"), "PipelinesPage") });
const run = createRoute({ getParentRoute: () => shell, path: "/pipeline-runs/$run", component: lazyRouteComponent(() => import("./features/pipelines/RunPage"), "RunPage") });
const events = createRoute({
  getParentRoute: () => shell,
  path: "/events",
  component: lazyRouteComponent(() => import("./features/events/EventsPage"), "EventsPage"),
  validateSearch: (s: Search): { q?: string } => (text(s.q) ? { q: text(s.q) } : {}),
});
const access = createRoute({ getParentRoute: () => shell, path: "/access", component: lazyRouteComponent(() => import("./features/access/AccessPage"), "AccessPage") });

const tree = root.addChildren([
  signIn,
  shell.addChildren([overview, jobs, newJob, job, queue, models, model, endpoints, endpoint, abtests, abtest, monitors, monitor, pipelines, run, events, access]),
]);

export function createAppRouter(queryClient: QueryClient) {
  return createRouter({ routeTree: tree, context: { queryClient }, defaultPreload: "intent", scrollRestoration: true });
}
