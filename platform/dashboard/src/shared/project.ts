import { useSearch } from "@tanstack/react-router";

/** The project that is looked at: `?project=…`, kept over navigation, so that a link shows the same to whoever opens it. */
export function useProject(): string {
  const search: { project?: string } = useSearch({ strict: false });
  return search.project ?? "default";
}
