import type { components } from "../api/schema";

export type JobStatus = components["schemas"]["JobStatus"];

export const JOB_STATUSES = ["queued", "starting", "running", "finalizing", "cancelling", "succeeded", "failed", "cancelled"] as const satisfies readonly JobStatus[];

export const isJobStatus = (value: unknown): value is JobStatus => (JOB_STATUSES as readonly unknown[]).includes(value);
