import { Button, NumberInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { quotaQuery, setQuota } from "../../api/queries";
import type { QuotaSeen } from "../../api/types";
import { Panel, Problem } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { Quota } from "../queue/Quota";
import { type LimitsForm, toForm, toLimits } from "./access";

const FIELDS: [keyof LimitsForm, string][] = [
  ["cpus", "CPUs"], ["gpus", "GPUs"], ["memory", "Memory (GiB)"], ["jobs", "Jobs at once"], ["gpu_hours", "GPU hours a month"], ["weight", "Weight"],
];

function Change({ seen, done }: { seen: QuotaSeen; done: () => void }) {
  const client = useQueryClient();
  const [form, setForm] = useState(() => toForm(seen));
  const [etag] = useState(seen.etag); // of what the form began with, whatever is read meanwhile
  const set = useMutation({
    mutationFn: () => setQuota(seen.project, toLimits(form), etag),
    meta: { placed: true },
    onSuccess: done,
    onSettled: () => client.invalidateQueries({ queryKey: quotaQuery(seen.project).queryKey }),
  });
  return (
    <Panel title={`Quota of ${seen.project}`} note="no limit where a field is empty">
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          set.mutate();
        }}
      >
        {set.error && <Problem error={set.error} />}
        <div className="limits">
          {FIELDS.map(([field, label]) => (
            <NumberInput key={field} label={label} placeholder={field === "weight" ? "1" : "no limit"} value={form[field]} onChange={(value) => setForm((f) => ({ ...f, [field]: value }))} min={0} allowDecimal={field !== "jobs"} hideControls />
          ))}
        </div>
        <div className="row">
          <Button type="submit" loading={set.isPending}>Set the quota</Button>
          <Button variant="default" onClick={done}>Leave it</Button>
          <span className="dim cell-sub">What runs goes on, also above a new limit.</span>
        </div>
      </form>
    </Panel>
  );
}

/** The project's quota, which an administrator of the platform may change. */
export function Limits({ admin }: { admin: boolean }) {
  const quota = useQuery(quotaQuery(useProject())).data;
  const [open, setOpen] = useState(false);
  if (open && quota) return <Change seen={quota} done={() => setOpen(false)} />;
  return <Quota aside={admin && <Button size="compact-xs" variant="default" onClick={() => setOpen(true)}>Change the quota</Button>} />;
}
