import type { components } from "../api/schema";

export type JobStatus = components["schemas"]["JobStatus"];
export type JobKind = components["schemas"]["JobSpec"]["kind"];

/** All of them, in the order of a job's life; the compiler finds one that the API has gained. */
const STATUSES: Record<JobStatus, true> = {
  queued: true, starting: true, running: true, unknown: true, preempting: true, finalizing: true, cancelling: true, succeeded: true, failed: true, cancelled: true,
};
const KINDS: Record<JobKind, true> = { train: true, sweep: true, evaluate: true, batch_prediction: true, drift_check: true, custom: true };

export const JOB_STATUSES = Object.keys(STATUSES) as JobStatus[];
export const JOB_KINDS = Object.keys(KINDS) as JobKind[];

export const isJobStatus = (value: unknown): value is JobStatus => typeof value === "string" && value in STATUSES;
