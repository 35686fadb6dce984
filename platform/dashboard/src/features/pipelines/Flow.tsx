import type { PipelineStep } from "../../api/types";
import { words } from "../../shared/format";
import { EndpointIcon, GateIcon, ModelIcon, ScaleIcon, StarIcon, TrainIcon } from "../../shared/icons";
import { RefLink } from "../../shared/RefLink";
import { Status, toneOf } from "../../shared/Status";
import { Took } from "../../shared/Time";
import "./pipelines.css";

const ICONS = { train: TrainIcon, gate: GateIcon, register: ModelIcon, deploy: EndpointIcon, abtest: ScaleIcon, promote: StarIcon };
const NAMES: Record<string, string> = { abtest: "A/B test" };

/** The steps of a run from left to right: how each stands, how long it took, and what it made. */
export function Flow({ steps }: { steps: readonly PipelineStep[] }) {
  return (
    <ol className="flow">
      {steps.map((step) => {
        const Icon = ICONS[step.name as keyof typeof ICONS] ?? ModelIcon;
        return (
          <li key={step.name} className={`flow-step flow-${toneOf(step.status)}`}>
            <div className="flow-head"><Icon size={16} /> <b>{NAMES[step.name] ?? words(step.name)}</b></div>
            <Status value={step.status} />
            <span className="dim num">{step.started_at ? <Took from={step.started_at} to={step.ended_at} /> : "–"}</span>
            {step.ref && <RefLink kind={step.ref.kind} id={step.ref.id} />}
            {step.message && <p>{step.message}</p>}
          </li>
        );
      })}
    </ol>
  );
}

/** The same in one line of a table. */
export function FlowLine({ steps }: { steps: readonly PipelineStep[] }) {
  return (
    <span className="flow-line" role="img" aria-label={steps.map((s) => `${s.name} ${s.status}`).join(", ")}>
      {steps.map((s) => <i key={s.name} className={`flow-${toneOf(s.status)}`} title={`${words(s.name)}: ${words(s.status)}`} />)}
    </span>
  );
}
