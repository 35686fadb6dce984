import type { FormField } from "./schema-form";
import { toSpec } from "./ParamField";

/** What stands in the form: text where a person may still be typing. */
export interface Draft {
  kind: "train" | "sweep";
  recipe: string;
  name: string;
  uri: string;
  target: string;
  model: string;
  workers: number | string;
  cpus: number | string;
  gpus: number | string;
  seed: number | string;
  params: Record<string, unknown>;
  /** What a sweep tries: "0.001..0.1", "log:0.001..0.1" or "0, 0.1, 0.2", by parameter. */
  search: Record<string, string>;
  trials: number | string;
  concurrent: number | string;
  metric: string;
  mode: "min" | "max";
}

export const EMPTY: Draft = {
  kind: "train", recipe: "tabular", name: "", uri: "", target: "target", model: "", workers: 1, cpus: 1, gpus: 0, seed: 0,
  params: {}, search: {}, trials: 8, concurrent: 2, metric: "val/loss", mode: "min",
};

type Spec = Record<string, unknown>;

/** "log:1e-3..0.1" is a range, anything else a list of choices. */
export function parseSpace(text: string): Spec {
  const match = /^(log:)?\s*([-+\d.eE]+)\s*\.\.\s*([-+\d.eE]+)$/.exec(text.trim());
  if (match) return { kind: "uniform", low: Number(match[2]), high: Number(match[3]), log: match[1] !== undefined };
  const list = text.trim().replace(/^\[|\]$/g, "").split(",").map((part) => part.trim()).filter(Boolean);
  return { kind: "choice", values: list.map((part) => (Number.isFinite(Number(part)) ? Number(part) : part)) };
}

function writeSpace(space: Spec): string {
  if (space.kind === "choice") return (space.values as unknown[]).map((v) => (typeof v === "object" ? JSON.stringify(v) : String(v))).join(", ");
  return `${space.log ? "log:" : ""}${String(space.low)}..${String(space.high)}`;
}

export function toJobSpec(draft: Draft, fields: readonly FormField[]): Spec {
  const params = Object.fromEntries(
    fields.filter((f) => draft.params[f.name] !== undefined && !(draft.kind === "sweep" && draft.search[f.name])).map((f) => [f.name, toSpec(f, draft.params[f.name])]),
  );
  const spec: Spec = {
    kind: draft.kind,
    recipe: draft.recipe,
    data: { uri: draft.uri, target: draft.target },
    params,
    resources: { workers: draft.workers, cpus_per_worker: draft.cpus, gpus_per_worker: draft.gpus },
    seed: draft.seed,
  };
  if (draft.name) spec.name = draft.name;
  if (draft.model) spec.model = draft.model;
  if (draft.kind === "sweep") {
    spec.search = Object.fromEntries(Object.entries(draft.search).filter(([, text]) => text.trim()).map(([name, text]) => [name, parseSpace(text)]));
    Object.assign(spec, { trials: draft.trials, max_concurrent: draft.concurrent, metric: draft.metric, mode: draft.mode });
  }
  return spec;
}

/** The form that would submit this spec again. */
export function fromJobSpec(spec: Spec): Draft {
  const data = (spec.data ?? {}) as Spec;
  const resources = (spec.resources ?? {}) as Spec;
  const text = (value: unknown, otherwise = ""): string => (typeof value === "string" ? value : otherwise);
  const count = (value: unknown, otherwise: number): number => (typeof value === "number" ? value : otherwise);
  return {
    kind: spec.kind === "sweep" ? "sweep" : "train",
    recipe: text(spec.recipe, EMPTY.recipe),
    name: text(spec.name),
    uri: text(data.uri),
    target: text(data.target, EMPTY.target),
    model: text(spec.model),
    workers: count(resources.workers, 1),
    cpus: count(resources.cpus_per_worker, 1),
    gpus: count(resources.gpus_per_worker, 0),
    seed: count(spec.seed, 0),
    params: (spec.params ?? {}) as Spec,
    search: Object.fromEntries(Object.entries((spec.search ?? {}) as Record<string, Spec>).map(([name, space]) => [name, writeSpace(space)])),
    trials: count(spec.trials, 8),
    concurrent: count(spec.max_concurrent, 2),
    metric: text(spec.metric, EMPTY.metric),
    mode: spec.mode === "max" ? "max" : "min",
  };
}
