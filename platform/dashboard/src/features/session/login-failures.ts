/** Why a login at the OpenID provider failed, by the code with which the API leads back here. */
export const loginFailures = {
  login_refused: "The provider did not sign you in. Try again, or ask whoever runs it.",
  login_expired: "This sign-in was begun in another browser, or more than ten minutes ago. Begin anew.",
  unavailable: "The provider does not answer. Try again in a minute, or sign in with a token.",
  forbidden: "Your account is disabled. A platform administrator can enable it.",
} as const;

export type LoginFailure = keyof typeof loginFailures;

/** Whatever else stands in the address is not shown. */
export const isLoginFailure = (code: unknown): code is LoginFailure => typeof code === "string" && Object.hasOwn(loginFailures, code);
