import { useQuery } from "@tanstack/react-query";
import type { ReactNode } from "react";
import { quotaQuery } from "../../api/queries";
import { bytes, number } from "../../shared/format";
import { Meter } from "../../shared/Meter";
import { Loaded, Panel } from "../../shared/parts";
import { useProject } from "../../shared/project";

/** What the project may hold, and what it holds of that. */
export function Quota({ aside }: { aside?: ReactNode }) {
  const project = useProject();
  const quota = useQuery(quotaQuery(project));
  return (
    <Panel title={`Quota of ${project}`} aside={aside || (quota.data && <span className="dim">weight {number(quota.data.weight)} in the fair share</span>)}>
      <Loaded query={quota} lines={3}>
        {(q) => (
          <>
            <Meter label="CPUs" used={q.used.cpus} limit={q.cpus} />
            <Meter label="GPUs" used={q.used.gpus} limit={q.gpus} />
            <Meter label="Memory" used={q.used.memory_bytes} limit={q.memory_bytes} write={bytes} />
            <Meter label="Jobs at once" used={q.used.jobs} limit={q.jobs} />
            <Meter label="GPU hours of the month" used={q.used.gpu_hours} limit={q.gpu_hours} />
          </>
        )}
      </Loaded>
    </Panel>
  );
}
