/** A spec as the commands that submit it: for a terminal, for curl, for Python. */

const quote = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
const value = (v: unknown): string => (typeof v === "string" ? v : JSON.stringify(v));

type Spec = Record<string, unknown>;

function range(space: Spec): string {
  if (space.kind === "choice") return JSON.stringify(space.values);
  return `${space.log ? "log:" : ""}${String(space.low)}..${String(space.high)}`;
}

/** `ratchet train …`, with what differs from the defaults; kinds without a command of their own go by a file. */
export function asCli(spec: Spec): string {
  if (spec.kind !== "train" && spec.kind !== "sweep") return `ratchet apply --yes -f - <<'SPEC'\n${JSON.stringify(spec, null, 2)}\nSPEC`;
  const data = (spec.data ?? {}) as Spec;
  const resources = (spec.resources ?? {}) as Spec;
  const parts: string[] = [`ratchet ${spec.kind}`];
  const add = (flag: string, v: unknown, fallback?: unknown) => {
    if (v !== undefined && v !== null && v !== "" && v !== fallback) parts.push(`${flag} ${quote(value(v))}`);
  };
  add("--recipe", spec.recipe, "tabular");
  add("--data", data.uri);
  add("--target", data.target, "target");
  for (const feature of (data.features as string[] | null | undefined) ?? []) add("--feature", feature);
  add("--model", spec.model);
  add("--name", spec.name);
  for (const [name, v] of Object.entries((spec.params ?? {}) as Spec)) parts.push(`-p ${quote(`${name}=${value(v)}`)}`);
  for (const [name, space] of Object.entries((spec.search ?? {}) as Record<string, Spec>)) parts.push(`-s ${quote(`${name}=${range(space)}`)}`);
  if (spec.kind === "sweep") {
    add("--trials", spec.trials, 8);
    add("--concurrent", spec.max_concurrent, 2);
    add("--metric", spec.metric, "val/loss");
    add("--mode", spec.mode, "min");
  }
  add("--workers", resources.workers, 1);
  add("--cpus", resources.cpus_per_worker, 1);
  add("--gpus", resources.gpus_per_worker, 0);
  add("--seed", spec.seed, 0);
  add("--deadline", spec.deadline_s, 86_400);
  add("--priority", spec.priority, 0);
  return parts.join(" \\\n  ");
}

export function asCurl(spec: Spec, project: string, origin: string): string {
  return [
    `curl ${origin}/api/v1/projects/${project}/jobs`,
    '-H "Authorization: Bearer $RATCHET_TOKEN"',
    "-H 'Content-Type: application/json'",
    '-H "Idempotency-Key: $(uuidgen)"',
    `-d ${quote(JSON.stringify(spec))}`,
  ].join(" \\\n  ");
}
