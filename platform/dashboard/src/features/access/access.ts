import type { Limits, Scope, Token } from "../../api/types";

const GIB = 1024 ** 3;

/** What a token may be made for by one whose own scope is this. */
export function scopesWithin(own: Scope): Scope[] {
  const all: Scope[] = ["admin", "write", "read", "predict"];
  return own === "read" || own === "predict" ? [own] : all.slice(all.indexOf(own));
}

export function tokenState(token: Pick<Token, "revoked_at" | "expires_at">, now: number): "active" | "revoked" | "expired" {
  if (token.revoked_at) return "revoked";
  return token.expires_at && Date.parse(token.expires_at) <= now ? "expired" : "active";
}

/** A command as it is to be typed for a project. */
export const inProject = (command: string, project: string): string => (project === "default" ? command : `${command} --project ${project}`);

/** The limits as a form has them: memory in GiB, and nothing where there is no limit. */
export type LimitsForm = Record<"cpus" | "gpus" | "memory" | "jobs" | "gpu_hours" | "weight", number | string>;

export const toForm = (q: Limits): LimitsForm => ({
  cpus: q.cpus ?? "", gpus: q.gpus ?? "", memory: q.memory_bytes == null ? "" : q.memory_bytes / GIB, jobs: q.jobs ?? "", gpu_hours: q.gpu_hours ?? "", weight: q.weight ?? 1,
});

export function toLimits(form: LimitsForm): Limits {
  const limit = (value: number | string) => (value === "" ? null : Number(value));
  const memory = limit(form.memory);
  return {
    cpus: limit(form.cpus), gpus: limit(form.gpus), memory_bytes: memory === null ? null : Math.round(memory * GIB), jobs: limit(form.jobs), gpu_hours: limit(form.gpu_hours), weight: limit(form.weight) ?? 1,
  };
}
