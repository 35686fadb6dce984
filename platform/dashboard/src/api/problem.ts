/** RFC 9457 problem details, as every error of the API is told. */
export interface FieldError {
  pointer: string;
  message: string;
  /** What was given there; of a text that can't be read, from the place on. */
  value?: unknown;
}

export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly title: string,
    readonly detail: string,
    readonly errors: FieldError[] = [],
    readonly hint: string | null = null,
    readonly requestId: string | null = null,
  ) {
    super(detail || title);
  }
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");

/** What an answer that is no success says, whatever its body is: a proxy in between may answer in HTML. */
export function toApiError(status: number, body: unknown): ApiError {
  const problem = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const errors = Array.isArray(problem.errors)
    ? problem.errors.map((e: Record<string, unknown>) => ({ pointer: text(e.pointer), message: text(e.message), value: e.value }))
    : [];
  return new ApiError(
    status,
    text(problem.title) || `The server answered ${status}`,
    text(problem.detail),
    errors,
    text(problem.hint) || null,
    text(problem.request_id) || null,
  );
}
