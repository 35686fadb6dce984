import createClient from "openapi-fetch";
import { toApiError } from "./problem";
import type { paths } from "./schema";

/** The API, typed from its own description. The session's cookie goes with every call. */
export const api = createClient<paths>({ baseUrl: window.location.origin });

api.use({
  onRequest({ request }) {
    // A click that is sent twice by a flaky network starts one thing.
    if (request.method === "POST") request.headers.set("idempotency-key", crypto.randomUUID());
    return request;
  },
});

/** The answer's body; an error answer is thrown as an `ApiError`. */
export async function body<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await call;
  if (!response.ok) throw toApiError(response.status, error);
  return data as T;
}
