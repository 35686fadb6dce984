/** What can be read, as TanStack Query options: one place that knows paths, keys and how often to look again. */
import { infiniteQueryOptions, queryOptions } from "@tanstack/react-query";
import { api, body, tagged } from "./client";
import { ApiError } from "./problem";
import type { components } from "./schema";
import type { Limits, Member, NewToken, QuotaSeen, Role } from "./types";

type JobBody = components["schemas"]["JobSpec"];

/** Milliseconds between two looks: while something moves, and while nothing does. */
export const FAST = 2_000;
const STEADY = 5_000;
const SLOW = 10_000;

const ENDED = new Set(["succeeded", "failed", "cancelled", "passed", "refused", "decided", "stopped"]);
export const isOver = (status: string | undefined): boolean => status !== undefined && ENDED.has(status);
const untilOver = (every: number) => (query: { state: { data?: { status: string } } }) => (isOver(query.state.data?.status) ? false : every);

const P = "/api/v1/projects/{project}";

export const infoQuery = queryOptions({ queryKey: ["info"], queryFn: () => body(api.GET("/api/v1/info")), refetchInterval: SLOW });
export const meQuery = queryOptions({ queryKey: ["me"], queryFn: () => body(api.GET("/api/v1/me")), staleTime: 60_000 });
export const authConfigQuery = queryOptions({ queryKey: ["auth-config"], queryFn: () => body(api.GET("/api/v1/auth/config")), staleTime: Number.POSITIVE_INFINITY });
export const recipesQuery = queryOptions({
  queryKey: ["recipes"],
  queryFn: () => body(api.GET("/api/v1/recipes")),
  staleTime: Number.POSITIVE_INFINITY,
});

type JobFilter = { status?: components["schemas"]["JobStatus"]; kind?: string; filter?: string; order_by?: string };
export const jobsQuery = (project: string, filter: JobFilter) =>
  infiniteQueryOptions({
    queryKey: [project, "jobs", filter],
    queryFn: ({ pageParam }) =>
      body(api.GET(`${P}/jobs`, { params: { path: { project }, query: { ...filter, status: filter.status && [filter.status], page_size: 50, page_token: pageParam || undefined } } })),
    initialPageParam: "",
    getNextPageParam: (last) => last.next_page_token || undefined,
    // A filter that can't be read won't be read better the next time.
    refetchInterval: (query) => (query.state.error instanceof ApiError && query.state.error.status < 500 ? false : 3_000),
  });
/** Jobs that have a place on the cluster now. */
export const onCluster = (project: string) =>
  queryOptions({
    queryKey: [project, "jobs-on-cluster"],
    queryFn: async () => (await body(api.GET(`${P}/jobs`, { params: { path: { project }, query: { status: [...ON_CLUSTER], page_size: 200 } } }))).items,
    refetchInterval: 3_000,
  });
const ON_CLUSTER = ["starting", "running", "unknown", "preempting", "finalizing", "cancelling"] as const;
/** Jobs that wait for a place, in the order of their turns; of all projects for administrators of the platform. */
export const queueQuery = (project: string, all = false, limit = QUEUE_SHOWN) =>
  queryOptions({
    queryKey: [all ? "" : project, "queue", limit],
    queryFn: () => body(all ? api.GET("/api/v1/queue", { params: { query: { limit } } }) : api.GET(`${P}/queue`, { params: { path: { project }, query: { limit } } })),
    refetchInterval: 3_000,
  });
export const QUEUE_SHOWN = 200;
export const quotaQuery = (project: string) =>
  queryOptions({
    queryKey: [project, "quota"],
    queryFn: async (): Promise<QuotaSeen> => {
      const { data, etag } = await tagged(api.GET(`${P}/quota`, { params: { path: { project } } }));
      return { ...data, etag };
    },
    refetchInterval: STEADY,
  });

/** The people of a project and its service accounts. */
export const membersQuery = (project: string) =>
  queryOptions({
    queryKey: [project, "members"],
    queryFn: async () => (await body(api.GET(`${P}/members`, { params: { path: { project }, query: { page_size: 1000 } } }))).items,
    refetchInterval: SLOW,
  });
export const TOKENS_SHOWN = 100;
/** Tokens for a project alone; one's own for every project without one. */
export const tokensQuery = (project: string | null) =>
  queryOptions({
    queryKey: [project ?? "", "tokens"],
    queryFn: async () => {
      const query = { page_size: TOKENS_SHOWN };
      return (await body(project === null ? api.GET("/api/v1/me/tokens", { params: { query } }) : api.GET(`${P}/tokens`, { params: { path: { project }, query } }))).items;
    },
    refetchInterval: SLOW,
  });
export const webhooksQuery = (project: string) =>
  queryOptions({
    queryKey: [project, "webhooks"],
    queryFn: async () => (await body(api.GET(`${P}/webhooks`, { params: { path: { project }, query: { page_size: 100 } } }))).items,
    refetchInterval: SLOW,
  });
export const deliveriesQuery = (project: string, webhook: string) =>
  queryOptions({
    queryKey: [project, "deliveries", webhook],
    queryFn: async () => (await body(api.GET(`${P}/webhooks/{webhook}/deliveries`, { params: { path: { project, webhook }, query: { page_size: 5 } } }))).items,
    refetchInterval: STEADY,
  });
export const recentJobs = (project: string) =>
  queryOptions({
    queryKey: [project, "jobs-recent"],
    queryFn: async () => (await body(api.GET(`${P}/jobs`, { params: { path: { project }, query: { page_size: 8 } } }))).items,
    refetchInterval: 3_000,
  });

const one = (project: string, job_id: string) => ({ params: { path: { project, job_id } } });
export const jobKey = (project: string, id: string) => [project, "job", id] as const;
export const jobQuery = (project: string, id: string) =>
  queryOptions({ queryKey: jobKey(project, id), queryFn: () => body(api.GET(`${P}/jobs/{job_id}`, one(project, id))), refetchInterval: untilOver(FAST) });
export const metricsQuery = (project: string, id: string, poll: boolean) =>
  queryOptions({
    queryKey: [project, "job-metrics", id],
    queryFn: async () => (await body(api.GET(`${P}/jobs/{job_id}/metrics`, one(project, id)))).series,
    refetchInterval: poll ? FAST : false,
  });
export const trialsQuery = (project: string, id: string, live: boolean) =>
  queryOptions({
    queryKey: [project, "job-trials", id],
    queryFn: async () => (await body(api.GET(`${P}/jobs/{job_id}/trials`, one(project, id)))).items,
    refetchInterval: live ? FAST : false,
  });
export const waitQuery = (project: string, id: string) =>
  queryOptions({ queryKey: [project, "job-wait", id], queryFn: () => body(api.GET(`${P}/jobs/{job_id}/wait`, one(project, id))), refetchInterval: FAST });
export const fetchLog = (project: string, job_id: string, cursor: string) =>
  body(api.GET(`${P}/jobs/{job_id}/logs`, { params: { path: { project, job_id }, query: { cursor } } }));
/** The log as a text file, or what of it a filter takes. */
export const downloadUrl = (project: string, id: string, filter: LogFilter): string => {
  const query = new URLSearchParams(Object.entries(filter).filter(([, value]) => value)).toString();
  return `/api/v1/projects/${encodeURIComponent(project)}/jobs/${encodeURIComponent(id)}/logs:download${query && `?${query}`}`;
};
export type LogFilter = { source?: string; level?: string; search?: string };
export const eventsUrl = (project: string, id: string): string =>
  `/api/v1/projects/${encodeURIComponent(project)}/jobs/${encodeURIComponent(id)}/events`;

export const modelsQuery = (project: string) =>
  queryOptions({
    queryKey: [project, "models"],
    queryFn: async () => (await body(api.GET(`${P}/models`, { params: { path: { project } } }))).items,
    refetchInterval: SLOW,
  });
export const modelQuery = (project: string, model: string) =>
  queryOptions({
    queryKey: [project, "model", model],
    queryFn: () => body(api.GET(`${P}/models/{model}`, { params: { path: { project, model } } })),
    refetchInterval: SLOW,
  });
export const promotionsQuery = (project: string, model: string) =>
  queryOptions({
    queryKey: [project, "promotions", model],
    queryFn: async () => (await body(api.GET(`${P}/models/{model}/promotions`, { params: { path: { project, model } } }))).items,
    refetchInterval: STEADY,
  });
export const aliasMovesQuery = (project: string, model: string) =>
  queryOptions({
    queryKey: [project, "alias-moves", model],
    queryFn: async () => (await body(api.GET(`${P}/models/{model}/alias-moves`, { params: { path: { project, model } } }))).items,
    refetchInterval: SLOW,
  });

export const endpointsQuery = (project: string) =>
  queryOptions({
    queryKey: [project, "endpoints"],
    queryFn: async () => (await body(api.GET(`${P}/endpoints`, { params: { path: { project }, query: { page_size: 200 } } }))).items,
    refetchInterval: STEADY,
  });
export const endpointQuery = (project: string, endpoint: string) =>
  queryOptions({
    queryKey: [project, "endpoint", endpoint],
    queryFn: () => body(api.GET(`${P}/endpoints/{endpoint}`, { params: { path: { project, endpoint } } })),
    refetchInterval: 3_000,
  });
export const trafficQuery = (project: string, endpoint: string) =>
  queryOptions({
    queryKey: [project, "traffic", endpoint],
    queryFn: () => body(api.GET(`${P}/endpoints/{endpoint}/traffic`, { params: { path: { project, endpoint } } })),
    refetchInterval: STEADY,
  });
export const predictionsQuery = (project: string, endpoint: string) =>
  queryOptions({
    queryKey: [project, "predictions", endpoint],
    queryFn: async () => (await body(api.GET(`${P}/endpoints/{endpoint}/predictions`, { params: { path: { project, endpoint }, query: { limit: 15 } } }))).items,
    refetchInterval: STEADY,
  });

export const abtestsQuery = (project: string) =>
  queryOptions({
    queryKey: [project, "abtests"],
    queryFn: async () => (await body(api.GET(`${P}/abtests`, { params: { path: { project }, query: { page_size: 100 } } }))).items,
    refetchInterval: STEADY,
  });
export const abtestQuery = (project: string, abtest: string) =>
  queryOptions({
    queryKey: [project, "abtest", abtest],
    queryFn: () => body(api.GET(`${P}/abtests/{abtest}`, { params: { path: { project, abtest } } })),
    refetchInterval: untilOver(3_000),
  });

export const monitorsQuery = (project: string) =>
  queryOptions({
    queryKey: [project, "monitors"],
    queryFn: async () => (await body(api.GET(`${P}/monitors`, { params: { path: { project }, query: { page_size: 200 } } }))).items,
    refetchInterval: STEADY,
  });
export const monitorQuery = (project: string, monitor: string) =>
  queryOptions({
    queryKey: [project, "monitor", monitor],
    queryFn: () => body(api.GET(`${P}/monitors/{monitor}`, { params: { path: { project, monitor } } })),
    refetchInterval: STEADY,
  });
export const checksQuery = (project: string, monitor: string) =>
  queryOptions({
    queryKey: [project, "checks", monitor],
    queryFn: async () => (await body(api.GET(`${P}/monitors/{monitor}/checks`, { params: { path: { project, monitor }, query: { page_size: 60 } } }))).items,
    refetchInterval: STEADY,
  });
export const alertsQuery = (project: string, monitor: string) =>
  queryOptions({
    queryKey: [project, "alerts", monitor],
    queryFn: async () => (await body(api.GET(`${P}/monitors/{monitor}/alerts`, { params: { path: { project, monitor } } }))).items,
    refetchInterval: STEADY,
  });

export const pipelinesQuery = (project: string) =>
  queryOptions({
    queryKey: [project, "pipelines"],
    queryFn: async () => (await body(api.GET(`${P}/pipelines`, { params: { path: { project }, query: { page_size: 200 } } }))).items,
    refetchInterval: SLOW,
  });
export const runsQuery = (project: string) =>
  queryOptions({
    queryKey: [project, "pipeline-runs"],
    queryFn: async () => (await body(api.GET(`${P}/pipeline-runs`, { params: { path: { project } } }))).items,
    refetchInterval: 3_000,
  });
export const runQuery = (project: string, run: string) =>
  queryOptions({
    queryKey: [project, "pipeline-run", run],
    queryFn: () => body(api.GET(`${P}/pipeline-runs/{run}`, { params: { path: { project, run } } })),
    refetchInterval: untilOver(FAST),
  });

export const auditQuery = (project: string, size: number) =>
  queryOptions({
    queryKey: [project, "events", size],
    queryFn: async () => (await body(api.GET(`${P}/events`, { params: { path: { project }, query: { page_size: size } } }))).items,
    refetchInterval: STEADY,
  });

/** What can be done. A spec is checked by the API, whose errors are shown at the field they name. */
export const signIn = (token: string) => body(api.POST("/api/v1/session", { body: { token } }));
export const signOut = () => body(api.DELETE("/api/v1/session"));
export const createJob = (project: string, spec: unknown) => body(api.POST(`${P}/jobs`, { params: { path: { project } }, body: spec as JobBody }));
export const planJob = (project: string, spec: unknown) => body(api.POST(`${P}/jobs:plan`, { params: { path: { project } }, body: spec as JobBody }));
export const cancelJob = (project: string, id: string) => body(api.POST(`${P}/jobs/{job_id}:cancel`, one(project, id)));
export const stopTest = (project: string, abtest: string) => body(api.POST(`${P}/abtests/{abtest}:stop`, { params: { path: { project, abtest } } }));
export const monitorVerb = (project: string, monitor: string, verb: "check" | "pause" | "resume") =>
  body<unknown>(api.POST(`${P}/monitors/{monitor}:${verb}`, { params: { path: { project, monitor } } }));
export const runPipeline = (project: string, pipeline: string) => body(api.POST(`${P}/pipelines/{pipeline}:run`, { params: { path: { project, pipeline } } }));
export const cancelRun = (project: string, run: string) => body(api.POST(`${P}/pipeline-runs/{run}:cancel`, { params: { path: { project, run } } }));

export const setQuota = (project: string, limits: Limits, etag: string | null) =>
  body(api.PUT(`${P}/quota`, { params: { path: { project }, header: { "if-match": etag } }, body: limits }));
export const addMember = (project: string, user: string, role: Role) => body(api.POST(`${P}/members`, { params: { path: { project } }, body: { user, role } }));
export const changeMember = async (project: string, seen: Member, role: Role) =>
  body(api.PATCH(`${P}/members/{account_id}`, { params: await asSeen(project, seen), body: { role } }));
export const removeMember = async (project: string, seen: Member) => body<unknown>(api.DELETE(`${P}/members/{account_id}`, { params: await asSeen(project, seen) }));
export const deleteServiceAccount = async (project: string, seen: Member) =>
  body<unknown>(api.DELETE(`${P}/service-accounts/{account_id}`, { params: await asSeen(project, seen) }));
/** A list has no tags of its members: the tag is of the member as it is now, or one that matches nothing if it has changed since. */
async function asSeen(project: string, seen: Member) {
  const path = { project, account_id: seen.id };
  const { data, etag } = await tagged(api.GET(`${P}/members/{account_id}`, { params: { path } }));
  return { path, header: { "if-match": data.role === seen.role ? etag : '"changed"' } };
}
export const createToken = (project: string | null, token: NewToken) =>
  body(project === null ? api.POST("/api/v1/me/tokens", { body: token }) : api.POST(`${P}/tokens`, { params: { path: { project } }, body: token }));
export const revokeToken = (project: string | null, token_id: string) =>
  body<unknown>(project === null ? api.DELETE("/api/v1/me/tokens/{token_id}", { params: { path: { token_id } } }) : api.DELETE(`${P}/tokens/{token_id}`, { params: { path: { project, token_id } } }));
export const testWebhook = (project: string, webhook: string) => body(api.POST(`${P}/webhooks/{webhook}:test`, { params: { path: { project, webhook } } }));
