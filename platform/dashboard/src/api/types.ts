/** The API's resources by the names that the pages use; `schema.d.ts` is generated from the API's description. */
import type { components } from "./schema";

type S = components["schemas"];

export type Info = S["Info"];
export type Job = S["JobView"];
export type Failure = S["FailureView"];
export type LogEntry = S["LogEntryView"];
export type LogLevel = S["LogLevel"];
export type MetricSeries = S["SeriesView"];
export type Trial = S["TrialView"];
export type Plan = S["PlanView"];
export type Model = S["ModelSummary"];
export type ModelVersion = S["VersionView"];
export type ModelDetail = S["ModelView"];
export type Promotion = S["PromotionView"];
export type AliasMove = S["AliasMoveView"];
export type Variant = S["VariantView"];
export type Endpoint = S["EndpointView"];
export type TrafficPoint = S["TrafficPoint"];
export type ABTest = S["ABTestView"];
export type Look = S["Look"];
export type Monitor = S["MonitorView"];
export type MonitorCheck = S["CheckView"];
export type Alert = S["AlertView"];
export type Pipeline = S["PipelineView"];
export type PipelineStep = S["StepView"];
export type PipelineRun = S["PipelineRunView"];
export type Queued = S["QueuedJobView"];
export type ClusterRoom = S["RoomView"];
export type Me = S["Me"];
export type Role = S["Role"];
export type Scope = S["Scope"];
export type Member = S["MemberView"];
export type Token = S["TokenView"];
export type NewToken = S["NewProjectToken"];
export type Webhook = S["WebhookView"];
export type Limits = S["NewQuota"];
/** A quota and the tag of its limits. */
export type QuotaSeen = S["QuotaView"] & { etag: string | null };
export type AuditEvent = S["EventView"];

/** What the API hands on as it is, with no type of its own: a recipe's parameters as JSON Schema. */
export interface JsonSchema {
  type?: string;
  title?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
  $ref?: string;
  $defs?: Record<string, JsonSchema>;
}

/** What a gate found (`Promotion.evidence`). */
export interface GateEvidence {
  job?: string | null;
  rows?: number;
  metrics?: { candidate?: Record<string, number> | null; champion?: Record<string, number> | null };
  rules?: { rule: string; passed: boolean; detail: string }[];
}

/** What a drift check wrote (`MonitorCheck.result`). */
export interface DriftColumn {
  column: string;
  test: string;
  p_value: number | null;
  drifted: boolean;
  reference_mean?: number | null;
  current_mean?: number | null;
  missing_reference?: number | null;
  missing_current?: number | null;
}
export interface DriftResult {
  alpha?: number;
  threshold?: number;
  rows?: { reference?: number; current?: number };
  columns?: DriftColumn[];
}
