import { Alert, Button, PasswordInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { authConfigQuery, signIn } from "../../api/queries";
import { Logo } from "../../shared/icons";
import { Code } from "../../shared/parts";
import { loginFailures } from "./login-failures";
import "./sign-in.css";

export function SignInPage() {
  const { next, error } = useSearch({ from: "/sign-in" });
  const navigate = useNavigate();
  const client = useQueryClient();
  const [token, setToken] = useState("");
  const oidc = useQuery(authConfigQuery).data?.oidc;
  // Only a path of our own: `//host` would be another site.
  const to = next?.startsWith("/") && !next.startsWith("//") && !next.startsWith("/sign-in") ? next : "/";
  const enter = useMutation({
    mutationFn: signIn,
    meta: { placed: true },
    onSuccess: () => {
      client.clear();
      void navigate({ href: to, replace: true });
    },
  });
  return (
    <main className="sign-in">
      <form
        className="sign-in-card"
        onSubmit={(event) => {
          event.preventDefault();
          if (token.trim()) enter.mutate(token.trim());
        }}
      >
        <div className="sign-in-brand"><Logo size={40} /></div>
        <h1>Sign in to Ratchet</h1>
        {error && <Alert color="red" variant="light" title="Not signed in" role="alert">{loginFailures[error]}</Alert>}
        {oidc && (
          <>
            <Button component="a" href={`${oidc.login_url}?next=${encodeURIComponent(to)}`} size="md" fullWidth>Sign in with {oidc.name}</Button>
            <div className="sign-in-or dim">or</div>
          </>
        )}
        <p className="dim">Paste an access token. It is kept in a cookie that scripts can't read, for this browser alone.</p>
        <PasswordInput
          label="Access token"
          placeholder="rt_…"
          value={token}
          onChange={(event) => setToken(event.currentTarget.value)}
          autoComplete="current-password"
          autoFocus={oidc === null}
          size="md"
          visibilityToggleButtonProps={{ "aria-label": "Show the token" }}
        />
        {enter.error && <Alert color="red" variant="light" title="Not signed in" role="alert">{enter.error.message}</Alert>}
        <Button type="submit" size="md" fullWidth variant={oidc ? "default" : "filled"} loading={enter.isPending} disabled={!token.trim()}>Sign in</Button>
        <div className="sign-in-help">
          <span className="dim">No token at hand? On the machine Ratchet runs on:</span>
          <Code text="ratchet config" />
        </div>
      </form>
    </main>
  );
}
