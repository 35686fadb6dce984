import { Button, NumberInput, SegmentedControl, Select, Tabs, TextInput } from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, useEffect, useState } from "react";
import { createJob, jobQuery, planJob, recipesQuery } from "../../api/queries";
import { ApiError } from "../../api/problem";
import type { JsonSchema } from "../../api/types";
import { number, plural } from "../../shared/format";
import { CheckIcon, ClockIcon } from "../../shared/icons";
import { Code, Loaded, PageHead, Panel, Problem } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { asCli, asCurl } from "./commands";
import { type Draft, EMPTY, fromJobSpec, toJobSpec } from "./draft";
import { ParamField } from "./ParamField";
import { errorAt, fieldsOf, unplaced } from "./schema-form";
import "./form.css";

const POINTERS = ["/name", "/recipe", "/data/uri", "/data/target", "/model", "/resources/workers", "/resources/cpus_per_worker", "/resources/gpus_per_worker", "/seed", "/trials", "/max_concurrent", "/metric", "/mode"];

export function NewJobPage() {
  const project = useProject();
  const { from } = useSearch({ from: "/shell/jobs/new" });
  const recipes = useQuery(recipesQuery);
  const source = useQuery({ ...jobQuery(project, from ?? ""), enabled: from !== undefined });
  if (from && !source.data) return <Loaded query={source}>{() => null}</Loaded>;
  return (
    <Loaded query={recipes}>
      {(all) => (
        <Form
          key={from}
          project={project}
          from={from}
          start={source.data ? fromJobSpec(source.data.spec) : EMPTY}
          recipes={all.map((r) => ({ ...r, schema: r.params_schema as JsonSchema }))}
        />
      )}
    </Loaded>
  );
}

interface FormProps {
  project: string;
  from: string | undefined;
  start: Draft;
  recipes: { name: string; summary: string; schema: JsonSchema }[];
}

function Form({ project, from, start, recipes }: FormProps) {
  const navigate = useNavigate();
  const [draft, setDraft] = useState(start);
  const set = (change: Partial<Draft>) => setDraft((now) => ({ ...now, ...change }));
  const recipe = recipes.find((r) => r.name === draft.recipe) ?? recipes[0];
  const fields = recipe ? fieldsOf(recipe.schema) : [];
  const spec = toJobSpec(draft, fields);
  const submit = useMutation({
    mutationFn: () => createJob(project, spec),
    meta: { placed: true },
    onSuccess: (job) => void navigate({ to: "/jobs/$job", params: { job: job.id } }),
  });
  const plan = useMutation({ mutationFn: () => planJob(project, spec), meta: { placed: true } });
  useEffect(() => plan.reset(), [JSON.stringify(spec)]);

  const failure = submit.error ?? plan.error;
  const errors = failure instanceof ApiError ? failure.errors : [];
  const at = (pointer: string) => errorAt(errors, pointer);
  const sweep = draft.kind === "sweep";
  const left = unplaced(errors, [...POINTERS, ...fields.flatMap((f) => [`/params/${f.name}`, `/search/${f.name}`])]);
  const send = (event: FormEvent) => {
    event.preventDefault();
    plan.reset();
    submit.mutate();
  };
  return (
    <form className="page" onSubmit={send} noValidate>
      <PageHead title={from ? "Clone a job" : "New job"} sub={recipe?.summary} actions={<SegmentedControl size="xs" aria-label="Kind" data={[{ value: "train", label: "Train" }, { value: "sweep", label: "Sweep" }]} value={draft.kind} onChange={(kind) => set({ kind: kind as Draft["kind"] })} />} />
      {failure && (errors.length === 0 || left.length > 0) && <Problem error={failure} />}
      <div className="cols">
        <div className="w7 stack">
          <Panel title="What">
            <div className="form-grid">
              <Select label="Recipe" data={recipes.map((r) => r.name)} value={draft.recipe} onChange={(v) => set({ recipe: v ?? draft.recipe, params: {} })} error={at("/recipe")} />
              <TextInput label="Name" description="For people; a to z, digits and dashes." placeholder="given by Ratchet" value={draft.name} onChange={(e) => set({ name: e.currentTarget.value })} error={at("/name")} />
              <TextInput className="form-wide" label="Data" description="sklearn://breast_cancer, or a Parquet or CSV file or folder: file:///…, s3://…" placeholder="sklearn://breast_cancer" required value={draft.uri} onChange={(e) => set({ uri: e.currentTarget.value })} error={at("/data/uri")} />
              <TextInput label="Target" description="The column to predict." value={draft.target} onChange={(e) => set({ target: e.currentTarget.value })} error={at("/data/target")} />
              <TextInput label="Model" description="Registers the result as a version of it." placeholder="not registered" value={draft.model} onChange={(e) => set({ model: e.currentTarget.value })} error={at("/model")} />
            </div>
          </Panel>
          <Panel title="Parameters" note={sweep ? "A value holds for all trials; a range is searched: 0..0.5, log:0.0001..0.1, or a list 16, 32, 64." : "Left empty, a parameter has its default."}>
            <div className="form-grid">
              {fields.map((f) => (
                <div key={f.name} className="form-param">
                  <ParamField field={f} value={draft.params[f.name]} error={at(`/params/${f.name}`)} onChange={(v) => set({ params: { ...draft.params, [f.name]: v } })} />
                  {sweep && <TextInput size="xs" aria-label={`Search ${f.label}`} placeholder="range to search" value={draft.search[f.name] ?? ""} onChange={(e) => set({ search: { ...draft.search, [f.name]: e.currentTarget.value } })} error={at(`/search/${f.name}`)} />}
                </div>
              ))}
            </div>
          </Panel>
          {sweep && (
            <Panel title="Search" note="Random search, stopped early by ASHA.">
              <div className="form-grid form-four">
                <NumberInput label="Trials" value={draft.trials} onChange={(v) => set({ trials: v })} error={at("/trials")} />
                <NumberInput label="At once" value={draft.concurrent} onChange={(v) => set({ concurrent: v })} error={at("/max_concurrent")} />
                <TextInput label="Metric" value={draft.metric} onChange={(e) => set({ metric: e.currentTarget.value })} error={at("/metric")} />
                <Select label="Best is" data={[{ value: "min", label: "smallest" }, { value: "max", label: "largest" }]} value={draft.mode} onChange={(v) => set({ mode: v === "max" ? "max" : "min" })} />
              </div>
            </Panel>
          )}
          <Panel title="Resources" note="All workers start together, or none does.">
            <div className="form-grid form-four">
              <NumberInput label="Workers" value={draft.workers} onChange={(v) => set({ workers: v })} error={at("/resources/workers")} />
              <NumberInput label="CPUs each" value={draft.cpus} onChange={(v) => set({ cpus: v })} error={at("/resources/cpus_per_worker")} />
              <NumberInput label="GPUs each" value={draft.gpus} onChange={(v) => set({ gpus: v })} error={at("/resources/gpus_per_worker")} />
              <NumberInput label="Seed" value={draft.seed} onChange={(v) => set({ seed: v })} error={at("/seed")} />
            </div>
          </Panel>
        </div>
        <div className="w5 stack form-side">
          <Panel title="The same, elsewhere" flush>
            <Tabs defaultValue="cli">
              <Tabs.List px={8}><Tabs.Tab value="cli">CLI</Tabs.Tab><Tabs.Tab value="curl">curl</Tabs.Tab><Tabs.Tab value="json">JSON</Tabs.Tab></Tabs.List>
              <Tabs.Panel value="cli" p="sm"><Code text={asCli(spec)} label="CLI command" /></Tabs.Panel>
              <Tabs.Panel value="curl" p="sm"><Code text={asCurl(spec, project, window.location.origin)} label="curl command" /></Tabs.Panel>
              <Tabs.Panel value="json" p="sm"><Code text={JSON.stringify(spec, null, 2)} label="spec" /></Tabs.Panel>
            </Tabs>
          </Panel>
          {plan.data && (
            <div className={`notice ${plan.data.starts_now ? "notice-ok" : "notice-warn"}`} role="status">
              {plan.data.starts_now ? <CheckIcon /> : <ClockIcon />}
              <div><b>{plan.data.starts_now ? "It would start now." : "It would wait."}</b> {plan.data.message} It takes {plural(plan.data.cpus, "CPU")}{plan.data.gpus > 0 ? ` and ${number(plan.data.gpus)} GPUs` : ""}.</div>
            </div>
          )}
          <div className="row">
            <Button type="submit" size="sm" loading={submit.isPending}>Submit</Button>
            <Button size="sm" variant="default" loading={plan.isPending} onClick={() => { submit.reset(); plan.mutate(); }}>Check first</Button>
          </div>
        </div>
      </div>
    </form>
  );
}
