import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { shortId } from "./format";

/** The page of a resource, by its kind; `undefined` when it has none. */
export function pathOf(kind: string, id: string): string | undefined {
  const name = encodeURIComponent(id);
  switch (kind) {
    case "job":
      return `/jobs/${name}`;
    case "model":
      return `/models/${name}`;
    case "model_version":
      return `/models/${encodeURIComponent(id.split(/[/:@]/)[0] ?? id)}`;
    case "endpoint":
      return `/endpoints/${name}`;
    case "abtest":
      return `/abtests/${name}`;
    case "monitor":
      return `/monitors/${name}`;
    case "pipeline":
      return "/pipelines";
    case "pipeline_run":
      return `/pipeline-runs/${name}`;
    default:
      return undefined;
  }
}

export function RefLink({ kind, id, children }: { kind: string; id: string; children?: ReactNode }) {
  const path = pathOf(kind, id);
  const text = children ?? shortId(id);
  return path ? <Link to={path} className="link">{text}</Link> : <span className="mono">{text}</span>;
}
