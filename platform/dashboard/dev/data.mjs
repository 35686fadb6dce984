// Made-up data, told from now, so that a page always looks alive.
const MINUTE = 60_000;
const ago = (minutes) => new Date(Date.now() - minutes * MINUTE).toISOString();
const START = Date.now();

/** The same numbers at every start. */
function random(seed) {
  let state = seed;
  return () => {
    state = (state * 1664525 + 1013904223) % 4294967296;
    return state / 4294967296;
  };
}
const id = (prefix, n) => `${prefix}-01k${(n * 7919 + 104729).toString(36).padStart(17, "0").slice(-17)}`;

export const RECIPE = {
  name: "tabular",
  summary: "A neural network on a table: classification or regression, by the type of the target.",
  params_schema: {
    type: "object",
    additionalProperties: false,
    properties: {
      hidden: { type: "array", items: { type: "integer" }, default: [64, 64], description: "Width of each hidden layer." },
      dropout: { type: "number", minimum: 0, exclusiveMaximum: 1, default: 0.1 },
      epochs: { type: "integer", minimum: 1, maximum: 10000, default: 30 },
      batch_size: { type: "integer", minimum: 1, maximum: 65536, default: 32, description: "Rows in one step, over all workers together." },
      learning_rate: { type: "number", exclusiveMinimum: 0, maximum: 10, default: 0.003, description: "Peak learning rate, after the warm-up." },
      weight_decay: { type: "number", minimum: 0, maximum: 10, default: 0.01, description: "Decoupled weight decay." },
      warmup_fraction: { type: "number", minimum: 0, exclusiveMaximum: 1, default: 0.1, description: "Share of all steps in which the learning rate rises." },
      patience: { type: "integer", minimum: 1, default: 10, description: "Epochs without a better validation loss before training stops." },
      task: { enum: ["auto", "classification", "regression"], default: "auto" },
    },
  },
};

export const info = () => ({
  version: "0.1.0",
  urls: { mlflow: "/mlflow", serving: "http://127.0.0.1:8471" },
  cluster: { status: "ready", cpus: 24, gpus: 2, memory_bytes: 64 * 1024 ** 3, last_seen_at: new Date(Date.now() - 2000).toISOString() },
});

const DATA = { uri: "sklearn://breast_cancer", target: "target", test_fraction: 0.2, validation_fraction: 0.2 };
const resources = (workers, gpus = 0) => ({ workers, cpus_per_worker: 2, gpus_per_worker: gpus });

function job(n, kind, name, status, created, took, more = {}) {
  const started = ["queued"].includes(status) ? null : ago(created - 0.2);
  const over = ["succeeded", "failed", "cancelled"].includes(status);
  const key = id("job", n);
  return {
    id: key, project: "default", kind, name, status, engine_status: over ? "SUCCEEDED" : started ? "RUNNING" : null, reason: null, message: "", failure: null, cloned_from: null, retry_of: null,
    run_id: started ? `${(n * 2654435761).toString(16).padStart(16, "a").slice(-16)}b81f4d2c90aa77e1` : null, mlflow_url: started ? "/mlflow/#/experiments/1" : null,
    model: status === "succeeded" && ["train", "sweep"].includes(kind) ? { name: "cancer", version: Math.max(1, 6 - n) } : null,
    attempts: started ? [{ number: 1, submission_id: `${key}-1`, status: over ? status : "running", reason: null, message: "", failure: null, started_at: started, ended_at: over ? ago(created - 0.2 - took) : null }] : [],
    created_by: n % 3 === 0 ? "system" : "ada", created_at: ago(created), started_at: started, ended_at: over ? ago(created - 0.2 - took) : null, updated_at: ago(0.01),
    metrics: {}, result: null, ...more, spec: { kind, recipe: "tabular", name, data: DATA, params: { hidden: [64, 32], epochs: 40, learning_rate: 0.003 }, resources: resources(2), seed: 7, model: "cancer", ...more.spec },
  };
}

const SEARCH = { learning_rate: { kind: "uniform", low: 0.0005, high: 0.05, log: true }, dropout: { kind: "uniform", low: 0, high: 0.5, log: false }, batch_size: { kind: "choice", values: [16, 32, 64] } };
const ENDED = { "train/loss": 0.0412, "val/loss": 0.0893, "val/accuracy": 0.978, "test/accuracy": 0.9737, "test/log_loss": 0.0912, "test/roc_auc": 0.9961, "test/f1_macro": 0.9719 };

const FAILURE = { reason: "data_error", message: "The table has no column 'diagnosis'. Its columns: mean radius, mean texture, … target. Set data.target to one of them.", error: "DataError: The table has no column 'diagnosis'.", rank: 1, exit_code: 66, log_tail: "split: 341 to train on, 114 to validate, 114 kept for the test\nDataError: The table has no column 'diagnosis'.", suggestion: "Check that the address of the data is right, that the cluster may read it, and its columns." };

export function jobs() {
  const lost = job(9, "train", "cancer-wide", "succeeded", 610, 4.1, { metrics: { ...ENDED, "test/accuracy": 0.9649 } });
  lost.attempts = [
    { ...lost.attempts[0], status: "failed", reason: "engine_lost", message: "The node of worker 1 went away; resumed from the checkpoint of epoch 12.", ended_at: ago(608) },
    { ...lost.attempts[0], number: 2, submission_id: `${lost.id}-2`, started_at: ago(607.5) },
  ];
  return [
    job(1, "train", "cancer-retrain", "running", 2.4, 0, { metrics: { "train/loss": 0.21, "val/loss": 0.24, "val/accuracy": 0.93 } }),
    job(2, "sweep", "cancer-sweep", "running", 6, 0, { spec: { search: SEARCH, trials: 8, max_concurrent: 2, metric: "val/loss", mode: "min" }, metrics: { "val/loss": 0.0811 } }),
    job(3, "train", "cancer-large", "queued", 4, 0, { reason: "waiting_for_room", message: "It needs 8 CPUs; 4 of 24 are free.", spec: { resources: resources(4) } }),
    job(4, "drift_check", "cancer-drift", "succeeded", 11, 0.4, { metrics: { "drift/drifted_columns": 6, "drift/min_p_value": 1.2e-14 }, spec: { model: { name: "cancer", version: 3 } } }),
    job(5, "evaluate", "gate-cancer-4", "succeeded", 34, 0.3, { metrics: { "v3/accuracy": 0.9649, "v4/accuracy": 0.9737, "test/rows": 114 } }),
    job(6, "train", "cancer-target", "failed", 55, 0.2, { reason: "data_error", engine_status: "FAILED", message: "The table has no column 'diagnosis'. Its columns: mean radius, mean texture, … target. Set data.target to one of them.", failure: FAILURE, spec: { data: { ...DATA, target: "diagnosis" } } }),
    job(34, "batch_prediction", "cancer-scores", "preempting", 12, 0, { reason: "preempted", message: "A job of a higher priority needs its room: it is asked to stop at its next checkpoint.", metrics: { "batch/rows": 84000 }, spec: { data: undefined, input: "s3://bucket/rows", model: { name: "cancer", alias: "champion" } } }),
    job(35, "custom", "own-program", "unknown", 14, 0, { message: "Ray does not answer; it is looked at again as soon as it does.", spec: { data: undefined, recipe: undefined, entrypoint: ["python", "train.py", "--lr", "0.1"] } }),
    job(7, "train", "cancer", "succeeded", 90, 1.9, { metrics: ENDED }),
    job(8, "train", "cancer-deep", "cancelled", 240, 0.7, { message: "Cancelled by ada." }),
    lost,
    ...Array.from({ length: 24 }, (_, i) => job(10 + i, ["train", "drift_check", "evaluate", "train"][i % 4], ["cancer-nightly", "cancer-drift", "gate-cancer", "digits"][i % 4], i === 7 ? "failed" : "succeeded", 700 + i * 97, 0.5 + (i % 5), { metrics: i % 4 === 1 ? { "drift/drifted_columns": 0 } : { "test/accuracy": 0.95 + (i % 7) / 300 }, ...(i === 7 && { reason: "out_of_memory", message: "A worker needed more than its 2 GiB. Give fewer rows a step (params.batch_size) or more memory." }) })),
  ];
}

function epochs(one) {
  if (one.status === "queued") return 0;
  if (one.status === "failed") return 0;
  if (one.status !== "running") return 40;
  return Math.min(40, 18 + Math.floor((Date.now() - START) / 2000));
}

export function series(one) {
  const next = random(one.id.length * 31 + one.name.length);
  const count = epochs(one);
  const names = { "train/loss": (e) => 0.62 * Math.exp(-e / 9) + 0.035, "val/loss": (e) => 0.6 * Math.exp(-e / 8) + 0.082 + e * 0.0004, "train/accuracy": (e) => 0.99 - 0.4 * Math.exp(-e / 5), "val/accuracy": (e) => 0.975 - 0.38 * Math.exp(-e / 5), "train/learning_rate": (e) => 0.003 * (e < 4 ? (e + 1) / 4 : (1 + Math.cos((Math.PI * (e - 4)) / 36)) / 2) };
  return Object.entries(names).map(([name, curve]) => ({
    name,
    points: Array.from({ length: count }, (_, step) => ({ step, value: curve(step) * (name.endsWith("rate") ? 1 : 1 + (next() - 0.5) * 0.06), timestamp: new Date(Date.parse(one.started_at) + (step + 4) * 2100).toISOString() })),
  }));
}

export function log(one) {
  if (!one?.started_at) return "";
  const at = (s) => new Date(Date.parse(one.started_at) + s * 1000).toISOString().slice(11, 23);
  const lines = [`${at(0.4)} INFO  job ${one.id} attempt 1: ${one.kind} with recipe tabular`, `${at(0.9)} INFO  data sklearn://breast_cancer: 569 rows, 30 features, sha256 4be1…9c`, `${at(1)} INFO  split: 341 to train on, 114 to validate, 114 kept for the test`];
  if (one.status === "failed") return [...lines, `${at(1.3)} ERROR The table has no column 'diagnosis'. Its columns: mean radius, mean texture, … target.`, ""].join("\n");
  lines.push(`${at(3.2)} INFO  [rank 0] DDP over 2 workers, backend gloo`, `${at(3.2)} INFO  [rank 1] DDP over 2 workers, backend gloo`, `${at(3.4)} WARNING [rank 1] 1 intra-op thread: the worker has 1 CPU`);
  for (const [train, val] of [series(one)].map((s) => [s[0].points, s[1].points])) train.forEach((p, i) => lines.push(`${at(4 + i * 2.1)} INFO  [rank 0] epoch ${String(i).padStart(2)}  train/loss ${p.value.toFixed(4)}  val/loss ${val[i].value.toFixed(4)}`));
  return `${lines.join("\n")}\n`;
}

export function trials() {
  const next = random(5);
  const all = Array.from({ length: 8 }, (_, i) => ({ run_id: `${(i * 99991 + 7).toString(16).padStart(8, "f")}c2d94b1e`, params: { learning_rate: String(0.0005 * 10 ** (next() * 2)), dropout: String(next() * 0.5), batch_size: String([16, 32, 64][i % 3]) }, status: i < 6 ? "FINISHED" : "RUNNING", metrics: { "val/loss": 0.08 + next() * 0.12, "val/accuracy": 0.93 + next() * 0.045 }, best: false }));
  all.slice(0, 6).sort((a, b) => a.metrics["val/loss"] - b.metrics["val/loss"])[0].best = true;
  return all;
}

export function models() {
  const next = random(11);
  const versions = (count, champion, candidate) => Array.from({ length: count }, (_, i) => count - i).map((version) => ({
    version, run_id: `${(version * 77773).toString(16).padStart(8, "d")}41cc`, job: id("job", 13 - version), source: `models:/m-${version}`, created_at: ago(30 + (count - version) * 380),
    metrics: { "test/accuracy": 0.94 + version * 0.0075 + next() * 0.004, "test/log_loss": 0.16 - version * 0.012, "test/roc_auc": 0.985 + version * 0.002, "val/loss": 0.17 - version * 0.014, "test/rows": 114 },
    aliases: [version === champion && "champion", version === candidate && "candidate"].filter(Boolean),
  }));
  return [
    { name: "cancer", latest_version: 5, aliases: { champion: 4, candidate: 5 }, description: "Benign or malignant, from 30 measures of cell nuclei.", versions: versions(5, 4, 5) },
    { name: "digits", latest_version: 2, aliases: { champion: 1, candidate: 2 }, description: null, versions: versions(2, 1, 2) },
    { name: "churn", latest_version: 1, aliases: { candidate: 1 }, description: "Leaves within 30 days.", versions: versions(1, 0, 1) },
  ];
}

const GATE = { metric: "accuracy", minimum: 0.9, maximum: null, max_regression: 0, data: DATA };
const promotion = (n, version, status, created, candidate, champion, previous) => ({
  id: id("promotion", n), model: "cancer", version, alias: "champion", status, previous_version: previous, gate: GATE, move: true, actor: n === 2 ? "ada" : "system", reason: null, created_at: ago(created), updated_at: ago(created), decided_at: ago(created - 0.5), moved_at: status === "passed" ? ago(created - 0.6) : null,
  message: status === "refused" ? `Version ${version} stays where it is; the champion is unchanged.` : null,
  evidence: { job: id("job", 5), rows: 114, metrics: { candidate: { accuracy: candidate, log_loss: 0.09 }, champion: champion && { accuracy: champion, log_loss: 0.1 } }, rules: [{ rule: "minimum", passed: candidate >= 0.9, detail: `accuracy is ${candidate}, at least 0.9 is asked for` }, ...(champion ? [{ rule: "max_regression", passed: candidate >= champion, detail: `accuracy ${candidate} against ${champion} of version ${previous}: may be worse by 0` }] : [])] },
});
export const promotions = () => [promotion(1, 4, "passed", 34, 0.9737, 0.9649, 3), promotion(2, 2, "refused", 500, 0.9386, 0.9561, 1), promotion(3, 1, "passed", 1500, 0.9561, null, null)];
export const moves = () => [
  { id: 5, alias: "candidate", from_version: 4, to_version: 5, actor: "system", evidence: {}, promotion: null, at: ago(12) },
  { id: 4, alias: "champion", from_version: 3, to_version: 4, actor: "system", evidence: {}, promotion: id("promotion", 1), at: ago(33) },
  { id: 3, alias: "champion", from_version: 1, to_version: 3, actor: "ada", evidence: {}, promotion: id("promotion", 4), at: ago(480) },
  { id: 1, alias: "champion", from_version: null, to_version: 1, actor: "system", evidence: {}, promotion: id("promotion", 3), at: ago(1499) },
];

export const endpoints = () => [
  { id: id("endpoint", 1), name: "cancer", project: "default", status: "ready", engine_status: "RUNNING", reason: null, message: null, generation: 7, observed_generation: 7, url: "http://127.0.0.1:8000/default/cancer", replicas: 1, cpus_per_replica: 0, created_by: "ada", created_at: ago(2000), updated_at: ago(31),
    variants: [{ name: "champion", model: "cancer", version: 4, alias: "champion", weight: 0.5, state: "ready", message: null }, { name: "challenger", model: "cancer", version: 5, alias: null, weight: 0.5, state: "ready", message: null }] },
  { id: id("endpoint", 2), name: "churn", project: "default", status: "degraded", engine_status: "RUNNING", reason: "variant_failed", message: "Variant b could not be loaded: version 1 was trained with scikit-learn 1.5. What served before goes on serving.", generation: 3, observed_generation: 2, url: "http://127.0.0.1:8000/default/churn", replicas: 2, cpus_per_replica: 1, created_by: "ada", created_at: ago(9000), updated_at: ago(120),
    variants: [{ name: "a", model: "churn", version: 1, alias: null, weight: 0.9, state: "ready", message: null }, { name: "b", model: "churn", version: 1, alias: null, weight: 0.1, state: "failed", message: "It could not be loaded." }] },
];

export function traffic() {
  const next = random(3);
  const minute = Math.floor(Date.now() / MINUTE) * MINUTE;
  const items = Array.from({ length: 60 }, (_, i) => i).flatMap((i) => ["champion", "challenger"].map((variant, v) => ({ minute: new Date(minute - i * MINUTE).toISOString(), variant, model: "cancer", model_version: 4 + v, count: Math.round(i > 34 && v === 1 ? 0 : (i > 34 ? 120 : 60) + 24 * Math.sin(i / 9) + next() * 14) })));
  return { items, since: ago(60), until: ago(0), truncated: false, next_page_token: "" };
}
export function predictions() {
  const next = random(8);
  return Array.from({ length: 12 }, (_, i) => ({ request_id: `${Math.floor(next() * 1e12).toString(36)}x${i}`, row: 0, timestamp: ago(i * 0.03), variant: i % 3 ? "champion" : "challenger", model: "cancer", model_version: i % 3 ? 4 : 5, key: `patient-${Math.floor(next() * 900)}`, prediction: next() > 0.4 ? "1" : "0", outcome: i > 4 ? "1" : null }));
}

function test(n, name, status, decision, more = {}) {
  const next = random(n + 20);
  const count = 26;
  let drift = -0.03;
  const looks = Array.from({ length: count }, (_, i) => {
    const units = 120 * (i + 1);
    drift += (0.021 - drift) * 0.18 + (next() - 0.5) * 0.01;
    const width = 1.05 / Math.sqrt(units / 2);
    return { at: ago(31 - i), units: { control: Math.round(units / 2), treatment: Math.round(units / 2) }, difference: drift, lower: drift - width, upper: drift + width, srm_p: 0.6, decision: "go_on" };
  });
  const last = looks.at(-1);
  return {
    id: id("ab", n), name, project: "default", endpoint: "cancer", control: "champion", treatment: "challenger", metric: { kind: "accuracy", greater_is_better: null }, alpha: 0.05, min_effect: 0, min_units: 100, max_units: 20000, on_win: "promote", status, decision, reason: "", looks,
    message: "Challenger looks 0.02 better, but a loss can't be ruled out yet. Go on: about 900 more outcomes are needed if the difference stays as it is.",
    estimate: { difference: last.difference, lower: last.lower, upper: last.upper, alpha: 0.05, units: last.units, means: { control: 0.9512, treatment: 0.9512 + last.difference } },
    srm: { p_value: 0.61, expected: { control: 0.5, treatment: 0.5 }, observed: { control: 1571, treatment: 1549 }, alarm: false }, created_by: "system", created_at: ago(31), decided_at: null, ...more,
  };
}
export const abtests = () => [
  test(1, "challenger-5", "running", "go_on"),
  test(2, "deeper-net", "decided", "promote", { message: "Challenger is better by at least 0.008: the whole interval lies above zero. It was made champion.", decided_at: ago(480), created_at: ago(560), estimate: { difference: 0.0211, lower: 0.0082, upper: 0.034, alpha: 0.05, units: { control: 4100, treatment: 4066 }, means: { control: 0.9512, treatment: 0.9723 } } }),
  test(3, "lost-rows", "running", "go_on", { message: "No verdict: the split between the variants is not the one that was asked for.", srm: { p_value: 0.0000021, expected: { control: 0.5, treatment: 0.5 }, observed: { control: 2210, treatment: 1880 }, alarm: true } }),
];

const COLUMNS = ["mean radius", "mean texture", "mean perimeter", "mean area", "mean smoothness", "mean compactness", "mean concavity", "worst radius", "worst texture", "worst area", "worst symmetry", "area error"];
function drift(n) {
  const next = random(n + 40);
  const shifted = n < 2 ? 6 : n < 4 ? 1 : 0;
  const columns = COLUMNS.map((column, i) => {
    const p = i < shifted ? 10 ** (-5 - next() * 11) : 0.004 + next() * 0.95;
    return { column, test: "ks", p_value: p, drifted: p < 0.01 / COLUMNS.length, reference_mean: 14.1 + i, current_mean: (14.1 + i) * (i < shifted ? 1.18 : 1 + (next() - 0.5) * 0.02), missing_reference: 0, missing_current: 0 };
  });
  return { verdict: shifted ? "drift" : "no_drift", alpha: 0.01, threshold: 0.01 / COLUMNS.length, rows: { reference: 341, current: 1200 }, columns, drifted_columns: shifted };
}
export const checks = () => Array.from({ length: 18 }, (_, n) => {
  const quiet = n === 9;
  const result = quiet ? null : drift(n);
  return { id: id("check", n), monitor: "cancer-drift", status: "succeeded", verdict: quiet ? "insufficient_data" : result.verdict, message: quiet ? "41 rows in the window; at least 100 are needed." : result.drifted_columns ? `${result.drifted_columns} of 12 columns drifted; 1,200 rows against 341 of the training data.` : "No column drifted; 1,200 rows against 341 of the training data.", since: ago(11 + n * 15 + 15), until: ago(11 + n * 15), drifted_columns: result?.drifted_columns ?? null, result, job: id("job", 4), report_url: `/api/v1/projects/default/checks/${id("check", n)}/report`, created_at: ago(11 + n * 15), ended_at: ago(10.6 + n * 15) };
});
export const monitors = () => [{ id: id("monitor", 1), name: "cancer-drift", project: "default", endpoint: "cancer", schedule: "*/15 * * * *", window_s: 900, alpha: 0.01, min_rows: 100, max_rows: 5000, pipeline: "retrain-cancer", status: "active", next_check_at: ago(-4), last_check: checks()[0], created_by: "ada", created_at: ago(3000) }];
export const alerts = () => [{ id: id("alert", 1), monitor: "cancer-drift", check: id("check", 0), message: "6 of 12 columns drifted: mean radius, mean texture, mean perimeter and 3 more.", pipeline_run: id("run", 1), created_at: ago(10.6) }];

const step = (name, status, ref, from, to, message = "") => ({ name, status, ref, message, started_at: from === null ? null : ago(from), ended_at: to === null ? null : ago(to) });
export const runs = () => [
  { id: id("run", 1), pipeline: "retrain-cancer", project: "default", trigger: { kind: "alert", ref: id("alert", 1) }, status: "running", reason: "", message: "", created_by: "system", created_at: ago(10.5), ended_at: null,
    steps: [step("train", "succeeded", { kind: "job", id: id("job", 7) }, 10.4, 8.3), step("gate", "succeeded", { kind: "job", id: id("job", 5) }, 8.3, 7.7, "accuracy 0.9737, champion 0.9649"), step("register", "succeeded", { kind: "model", id: "cancer" }, 7.7, 7.6, "cancer v5 is candidate"), step("deploy", "succeeded", { kind: "endpoint", id: "cancer" }, 7.6, 7.1, "50 % of the traffic"), step("abtest", "running", { kind: "abtest", id: id("ab", 1) }, 7.1, null), step("promote", "pending", null, null, null)] },
  { id: id("run", 2), pipeline: "retrain-cancer", project: "default", trigger: { kind: "schedule", ref: "" }, status: "failed", reason: "gate_refused", message: "The gate refused version 2: accuracy 0.9386 against 0.9561 of the champion.", created_by: "system", created_at: ago(505), ended_at: ago(499),
    steps: [step("train", "succeeded", { kind: "job", id: id("job", 9) }, 505, 500.4), step("gate", "failed", null, 500.4, 499, "accuracy 0.9386 < 0.9561"), step("register", "skipped", null, null, null), step("deploy", "skipped", null, null, null), step("abtest", "skipped", null, null, null), step("promote", "skipped", null, null, null)] },
];
export const pipelines = () => [{ id: id("pipeline", 1), name: "retrain-cancer", project: "default", schedule: "0 3 * * *", next_run_at: ago(-600), last_run: runs()[0], created_by: "ada", created_at: ago(4000), spec: { train: { kind: "train", recipe: "tabular", data: DATA, params: {}, model: "cancer" }, gate: GATE, endpoint: "cancer", challenger_weight: 0.5, abtest: {} } }];

export const events = () => [
  [0.4, "ada", "job.submitted", ["job", id("job", 1)], null, { status: "queued" }, ""],
  [7.1, "system", "abtest.started", ["abtest", id("ab", 1)], null, { status: "running" }, ""],
  [7.6, "system", "endpoint.updated", ["endpoint", "cancer"], { generation: 6, weights: { champion: 1 } }, { generation: 7, weights: { champion: 0.5, challenger: 0.5 } }, ""],
  [10.5, "system", "pipeline_run.started", ["pipeline_run", id("run", 1)], null, { trigger: "alert" }, "6 of 12 columns drifted"],
  [10.6, "system", "alert.raised", ["monitor", "cancer-drift"], null, { drifted_columns: 6 }, ""],
  [33, "system", "alias.moved", ["model", "cancer"], { champion: 3 }, { champion: 4 }, ""],
  [55, "system", "job.failed", ["job", id("job", 6)], { status: "running" }, { status: "failed", reason: "data_error" }, ""],
  [90, "ada", "job.submitted", ["job", id("job", 7)], null, { status: "queued" }, ""],
  [240, "ada", "job.cancelled", ["job", id("job", 8)], { status: "running" }, { status: "cancelled" }, ""],
  [560, "ada", "abtest.started", ["abtest", id("ab", 2)], null, { status: "running" }, ""],
].map(([at, actor, action, [kind, target], before, after, message], i) => ({ id: 90 - i, at: ago(at), actor, action, target: { kind, id: target }, before, after, message }));

const GIB = 1024 ** 3;
export function queue(count) {
  const waiting = jobs().find((j) => j.status === "queued");
  const row = (n, more) => ({ id: id("job", 60 + n), project: "default", kind: "train", name: `vision-${n}`, priority: 0, position: n, reason: "waiting_for_turn", message: "Others are before it.", queued_at: ago(9 - n), cpus: 4, gpus: 0, memory_bytes: 0, predicted_start_at: new Date(Date.now() + n * 400_000 + 30_000).toISOString(), predicted_start_basis: "deadline", ...more });
  const items = [
    row(1, { priority: 20, gpus: 2, memory_bytes: 48 * GIB, reason: "waiting_for_quota", message: "Needs 2 GPUs; its project has 1 of its quota of 2." }),
    row(3, { id: waiting.id, name: waiting.name, priority: 10, reason: waiting.reason, message: waiting.message, queued_at: waiting.created_at, cpus: 8, predicted_start_basis: "history" }),
    row(4, { kind: "sweep", name: "lr" }),
    row(5, { cpus: 64, reason: "never_fits", message: "Needs 64 CPUs; the whole cluster has 24.", predicted_start_at: null, predicted_start_basis: null }),
  ].slice(0, count);
  const total = { cpus: 24, gpus: 2, memory_bytes: 64 * GIB, jobs: 32 };
  return { items, length: count ? 5 : 0, total, free: count ? { cpus: 4, gpus: 1, memory_bytes: 40 * GIB, jobs: 27 } : total };
}
export const quota = () => ({
  project: "default", cpus: 20, gpus: 2, memory_bytes: null, jobs: 4, gpu_hours: 500, weight: 2, updated_at: ago(9000),
  used: { cpus: 20, gpus: 1, memory_bytes: 24 * GIB, jobs: 5, gpu_hours: 212.4 },
});

const member = (name, kind, role, source = "manual") => ({ id: `${kind === "user" ? "usr" : "sa"}-${name.replace(/\W/g, "-")}`, name, kind, role, source, created_at: ago(60 * 24 * 40) });
export const members = () => [member("ada", "user", "admin"), member("ben@example.org", "user", "editor", "oidc"), member("cleo", "user", "viewer"), member("default/ci", "service_account", "editor"), member("default/shop", "service_account", "viewer")];
const token = (n, name, scope, owner, more) => ({ id: id("tok", n), name, owner, project: "default", scope, prefix: `rt_4k${n}9q`, created_at: ago(60 * 24 * n), expires_at: new Date(START + 60 * MINUTE * 24 * 50).toISOString(), last_used_at: ago(n), revoked_at: null, ...more });
export const tokens = () => [
  token(3, "laptop", "admin", "ada"), token(12, "ci", "write", "default/ci", { expires_at: null }), token(30, "shop", "predict", "default/shop", { last_used_at: null }),
  token(60, "old-laptop", "write", "ada", { revoked_at: ago(60 * 24 * 3) }), token(95, "trial", "read", "ben@example.org", { expires_at: ago(60 * 24 * 5) }),
];
const webhook = (name, events, more) => ({ id: `wh-${name}`, project: "default", name, url: `https://hooks.example.com/${name}`, events, enabled: true, reason: "", failures: 0, previous_until: null, created_by: "ada", created_at: ago(9000), updated_at: ago(9000), ...more });
export const webhooks = () => [webhook("chat", ["job.failed", "alert.*"]), webhook("ledger", ["*"], { enabled: false, failures: 12, reason: "Switched off: 12 deliveries in a row were given up." })];
const delivery = (n, webhook, action, status, status_code, message = "") => ({ id: `dlv-${webhook}-${n}`, webhook, action, status, status_code, message, event: n, attempts: status === "delivered" ? 1 : 8, log: [], created_at: ago(n * 37), due_at: null, ended_at: ago(n * 36) });
export const deliveries = (name) => name === "chat" ? [delivery(1, name, "job.failed", "delivered", 204), delivery(2, name, "alert.raised", "pending", 503, "The receiver answered 503."), delivery(9, name, "webhook.tested", "delivered", 204)] : [delivery(3, name, "job.succeeded", "dead", null, "Its name can't be resolved.")];
