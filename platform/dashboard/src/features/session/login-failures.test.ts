import { expect, test } from "vitest";
import { isLoginFailure } from "./login-failures";

test("only codes that the page has words for are shown", () => {
  expect(isLoginFailure("login_refused")).toBe(true);
  for (const other of ["<b>pay here</b>", "toString", "__proto__", "", 3, undefined]) expect(isLoginFailure(other)).toBe(false);
});
