import { MantineProvider, localStorageColorSchemeManager } from "@mantine/core";
import { Notifications, notifications } from "@mantine/notifications";
import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { setNonce } from "get-nonce";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import "@mantine/core/styles.layer.css";
import "@mantine/notifications/styles.layer.css";
import "@mantine/spotlight/styles.layer.css";
import { ApiError } from "./api/problem";
import { signInByLink } from "./features/session/link-token";
import { createAppRouter } from "./router";
import "./styles.css";
import { theme, variables } from "./theme";

// The nonce attribute is hidden from scripts' view of the markup, but not from the property.
const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.nonce ?? "";
setNonce(nonce);

const unauthorised = (error: Error): boolean => error instanceof ApiError && error.status === 401;

function toSignIn(): void {
  if (router.state.location.pathname === "/sign-in") return;
  void router.navigate({ to: "/sign-in", search: { next: router.state.location.href } });
}

const queryClient = new QueryClient({
  queryCache: new QueryCache({ onError: (error) => { if (unauthorised(error)) toSignIn(); } }),
  mutationCache: new MutationCache({
    onError: (error, _variables, _result, mutation) => {
      if (unauthorised(error)) toSignIn();
      else if (!mutation.meta?.placed) {
        notifications.show({ color: "red", title: error instanceof ApiError ? error.title : "Not done", message: error.message });
      }
    },
  }),
  defaultOptions: {
    queries: { staleTime: 1_000, retry: (count, error) => !(error instanceof ApiError && error.status < 500) && count < 2 },
  },
});

await signInByLink();
const router = createAppRouter(queryClient);

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}

createRoot(document.getElementById("root") as HTMLElement).render(
  <StrictMode>
    <MantineProvider
      theme={theme}
      cssVariablesResolver={variables}
      defaultColorScheme="auto"
      colorSchemeManager={localStorageColorSchemeManager({ key: "ratchet-color-scheme" })}
      getStyleNonce={() => nonce}
    >
      <Notifications position="bottom-right" />
      <QueryClientProvider client={queryClient}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
