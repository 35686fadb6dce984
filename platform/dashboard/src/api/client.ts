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

type Call<T> = Promise<{ data?: T; error?: unknown; response: Response }>;

/** The answer's body; an error answer is thrown as an `ApiError`. */
export const body = async <T>(call: Call<T>): Promise<T> => (await tagged(call)).data;

/** The same with its tag: a change that is sent with it is refused when somebody else made one meanwhile. */
export async function tagged<T>(call: Call<T>): Promise<{ data: T; etag: string | null }> {
  const { data, error, response } = await call;
  if (!response.ok) throw toApiError(response.status, error);
  return { data: data as T, etag: response.headers.get("etag") };
}
