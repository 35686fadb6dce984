import { signIn } from "../../api/queries";

/**
 * Signs in with the token of a link such as `/#token=…`, once. It is taken out of the address first: addresses are kept
 * in histories and shown to others. A token that is refused leads to the sign-in page, as having none does.
 */
export async function signInByLink(): Promise<void> {
  const token = new URLSearchParams(window.location.hash.slice(1)).get("token");
  if (!token) return;
  window.history.replaceState(null, "", window.location.pathname + window.location.search);
  await signIn(token).catch(() => undefined);
}
