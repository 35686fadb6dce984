// The routes of the made-up API.
import * as data from "./data.mjs";

const json = (response, body, status = 200, headers = {}) => {
  response.writeHead(status, { "content-type": status >= 400 ? "application/problem+json" : "application/json", ...headers });
  response.end(status === 204 ? undefined : JSON.stringify(body));
};
const problem = (response, status, title, detail, more = {}) => json(response, { type: "about:blank", title, status, detail, code: title.toLowerCase().replaceAll(" ", "_"), errors: [], hint: null, request_id: "c0ffee00c0ffee00", ...more }, status);
const page = (items) => ({ items, next_page_token: "" });

function filtered(query) {
  const statuses = query.getAll("status");
  const kind = query.get("kind");
  const name = /name ~ "(.*)"/.exec(query.get("filter") ?? "")?.[1];
  return data.jobs().filter((job) => (statuses.length === 0 || statuses.includes(job.status)) && (!kind || job.kind === kind) && (!name || job.name.includes(name))).slice(0, Number(query.get("page_size") ?? 50));
}

/** The lines of a log from a number on, as the API gives them. */
function logPage(job, from) {
  const lines = data.log(job).replace(/\n$/, "").split("\n");
  const entries = lines.slice(from).map((text, i) => ({ attempt: 1, source: /\[(rank) (\d)\]/.exec(text)?.slice(1).join("-") ?? "driver", number: from + i, time: job.created_at, level: /ERROR/.test(text) ? "error" : /WARNING/.test(text) ? "warning" : "info", text }));
  return { entries, cursor: String(lines.length) };
}

/** A running job as the API streams it: an epoch every two seconds. */
function stream(job, response) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  const send = (event, body) => response.write(`event: ${event}\ndata: ${JSON.stringify(body)}\n\n`);
  let sent = 0;
  const look = () => {
    const page = logPage(job, sent);
    if (page.entries.length > 0) send("log", page);
    sent = Number(page.cursor);
    send("metrics", { series: [] });
    send("job", job);
  };
  look();
  if (["succeeded", "failed", "cancelled"].includes(job.status)) return response.end();
  const timer = setInterval(look, 2000);
  response.on("close", () => clearInterval(timer));
}

function check(spec) {
  const errors = [];
  if (!spec?.data?.uri) errors.push({ pointer: "/data/uri", message: "String should have at least 1 character" });
  if (Number(spec?.params?.dropout ?? 0) >= 1) errors.push({ pointer: "/params/dropout", message: "Input should be less than 1", value: spec.params.dropout });
  for (const name of Object.keys(spec?.params ?? {})) if (!data.RECIPE.params_schema.properties[name]) errors.push({ pointer: `/params/${name}`, message: "There is no such parameter." });
  return errors;
}

const byId = (list, id, key = "id") => list.find((each) => each[key] === id);
const GET = {
  info: () => data.info(),
  me: () => ({ id: "usr-ada", actor: "ada", scope: "admin", platform_admin: true, projects: ["default", "team-vision"], roles: { default: "admin", "team-vision": "admin" } }),
  recipes: () => [data.RECIPE],
  jobs: (r) => page(r.empty ? [] : filtered(r.query)),
  "jobs/:": (r, id) => byId(data.jobs(), id),
  "jobs/:/metrics": (r, id) => ({ series: data.series(byId(data.jobs(), id)) }),
  "jobs/:/logs": (r, id) => ({ ...logPage(byId(data.jobs(), id), Number(r.query.get("cursor") ?? 0)), complete: true, sources: ["driver", "rank-0", "rank-1"], deleted_at: null }),
  "jobs/:/trials": () => page(data.trials()),
  "jobs/:/wait": () => ({ waiting: true, reason: "waiting_for_room", message: "It needs 8 CPUs; 4 of 24 are free. Two jobs before it need 4 CPUs.", position: 3, ahead: 2, blocked_by: [data.jobs()[0].id], predicted_start_at: new Date(Date.now() + 400_000).toISOString(), predicted_start_basis: "deadline" }),
  queue: (r) => data.queue(r.empty ? 0 : 4),
  quota: () => data.quota(),
  members: (r) => page(r.empty ? [] : data.members()),
  tokens: (r) => page(r.empty ? [] : data.tokens()),
  "me/:": (r) => page(r.empty ? [] : data.tokens().slice(0, 1)),
  webhooks: (r) => page(r.empty ? [] : data.webhooks()),
  "webhooks/:/deliveries": (r, id) => page(data.deliveries(id)),
  models: (r) => page(r.empty ? [] : data.models().map(({ versions, ...summary }) => ({ ...summary, latest_version: versions.length }))),
  "models/:": (r, id) => byId(data.models(), id, "name"),
  "models/:/promotions": () => page(data.promotions()),
  "models/:/alias-moves": () => page(data.moves()),
  endpoints: (r) => page(r.empty ? [] : data.endpoints()),
  "endpoints/:": (r, id) => byId(data.endpoints(), id, "name"),
  "endpoints/:/traffic": () => data.traffic(),
  "endpoints/:/predictions": () => page(data.predictions()),
  abtests: (r) => page(r.empty ? [] : data.abtests()),
  "abtests/:": (r, id) => byId(data.abtests(), id),
  monitors: (r) => page(r.empty ? [] : data.monitors()),
  "monitors/:": (r, id) => byId(data.monitors(), id, "name"),
  "monitors/:/checks": () => page(data.checks()),
  "monitors/:/alerts": () => page(data.alerts()),
  pipelines: (r) => page(r.empty ? [] : data.pipelines()),
  "pipeline-runs": (r) => page(r.empty ? [] : data.runs()),
  "pipeline-runs/:": (r, id) => byId(data.runs(), id),
  events: (r) => page(r.empty ? [] : data.events().slice(0, Number(r.query.get("page_size") ?? 50))),
};

export function answer(request, response) {
  const path = request.path.replace("/api/v1/", "").replace(/^projects\/[^/]+\//, "");
  if (path === "session" && request.method === "POST") {
    if (request.body?.token === "wrong") return problem(response, 401, "Unauthorized", "This token is not known, or has expired.");
    return json(response, null, 204, { "set-cookie": "session=yes; HttpOnly; SameSite=Strict; Path=/" });
  }
  if (path === "session") return json(response, null, 204, { "set-cookie": "session=; Max-Age=0; Path=/" });
  if (path === "auth/config") return json(response, { oidc: { name: "Example", login_url: "/api/v1/auth/login" } });
  if (path === "auth/login") return response.writeHead(302, { location: request.query.get("next"), "set-cookie": "session=yes; HttpOnly; SameSite=Strict; Path=/" }).end();
  if (!request.signedIn) return problem(response, 401, "Unauthorized", "Sign in, or send a bearer token.");

  const [kind, id, rest] = path.split("/").map(decodeURIComponent);
  if (request.method === "POST") {
    if (path === "jobs" || path === "jobs:plan") {
      const errors = check(request.body);
      if (errors.length > 0) return problem(response, 422, "The spec is not valid", `${errors.length} of its fields must be changed.`, { errors });
      if (path === "jobs") return json(response, data.jobs()[0], 202);
      return json(response, { kind: request.body.kind, cpus: 2, gpus: 0, params: {}, starts_now: true, message: "12 of 24 CPUs are free." });
    }
    if (path.endsWith("tokens")) return json(response, { ...data.tokens()[0], name: request.body.name, token: `rt_${"made-up-".repeat(5)}` }, 201);
    return json(response, kind.startsWith("pipelines") ? data.runs()[0] : {}, 202);
  }
  if (request.method === "DELETE") return json(response, null, 204);
  if (kind === "jobs" && rest === "events") return stream(byId(data.jobs(), id), response);
  if (path === "jobs" && request.query.get("filter")?.includes("colour")) {
    const detail = "There is no field 'colour'.";
    return problem(response, 422, "Invalid", `The filter can't be read at character 1: ${detail}`, { code: "invalid_filter", errors: [{ pointer: "/filter", message: `At character 1: ${detail}`, value: request.query.get("filter") }] });
  }
  const handler = GET[rest ? `${kind}/:/${rest}` : id ? `${kind}/:` : kind];
  const body = handler?.(request, id);
  if (body === undefined) return problem(response, 404, "Not found", `There is no ${kind} ${id ?? ""}.`);
  return json(response, body);
}
