import { useQuery } from "@tanstack/react-query";
import { aliasMovesQuery, promotionsQuery } from "../../api/queries";
import type { GateEvidence, Promotion } from "../../api/types";
import { number, plural, sentence, signed } from "../../shared/format";
import { ArrowIcon, CheckIcon, CrossIcon, GateIcon } from "../../shared/icons";
import { Empty, Loaded, Panel } from "../../shared/parts";
import { RefLink } from "../../shared/RefLink";
import { Status } from "../../shared/Status";
import { Ago } from "../../shared/Time";

function Measured({ evidence, metric }: { evidence: GateEvidence; metric: string }) {
  const bare = metric.replace(/^test\//, "");
  const find = (all: Record<string, number> | null | undefined) => all?.[metric] ?? all?.[bare] ?? all?.[`test/${bare}`];
  const candidate = find(evidence.metrics?.candidate);
  const champion = find(evidence.metrics?.champion);
  if (candidate === undefined) return null;
  return (
    <p className="num">
      {metric} <b>{number(candidate)}</b>
      {champion !== undefined && <> against <b>{number(champion)}</b> of the champion ({signed(candidate - champion)})</>}
      {evidence.rows ? <span className="dim"> on {plural(evidence.rows, "row")} kept for tests</span> : null}
    </p>
  );
}

function One({ promotion: p }: { promotion: Promotion }) {
  const evidence = p.evidence as GateEvidence;
  const metric = String(p.gate?.metric ?? "");
  return (
    <li className="promotion">
      <div className="row">
        <Status value={p.status} />
        <b className="num">v{p.version}</b> <ArrowIcon size={13} /> <span className="tag tag-strong">{p.alias}</span>
        {p.previous_version ? <span className="dim">in place of v{p.previous_version}</span> : null}
        <span className="dim" style={{ marginLeft: "auto" }}>{p.actor} · <Ago at={p.created_at} /></span>
      </div>
      <Measured evidence={evidence} metric={metric} />
      {evidence.rules && evidence.rules.length > 0 && (
        <ul className="rules">
          {evidence.rules.map((r) => (
            <li key={r.rule} className={r.passed ? "rule-ok" : "rule-bad"}>
              {r.passed ? <CheckIcon size={14} /> : <CrossIcon size={14} />}
              <span><b>{sentence(r.rule)}</b> {r.detail}<span className="sr-only">{r.passed ? " passed" : " not passed"}</span></span>
            </li>
          ))}
        </ul>
      )}
      {p.message && <p className="dim">{p.message}</p>}
      {evidence.job && <p className="dim">Measured by <RefLink kind="job" id={evidence.job} /></p>}
    </li>
  );
}

export function Promotions({ project, model }: { project: string; model: string }) {
  const query = useQuery(promotionsQuery(project, model));
  return (
    <Panel title="Promotions" flush note="A gate measures both versions on the same rows.">
      <Loaded query={query}>
        {(items) =>
          items.length === 0 ? <Empty icon={<GateIcon size={22} />} title="No version has been through a gate">Ask for one, and the evidence stands here.</Empty> : <ul className="promotions">{items.map((p) => <One key={p.id} promotion={p} />)}</ul>
        }
      </Loaded>
    </Panel>
  );
}

export function AliasHistory({ project, model }: { project: string; model: string }) {
  const query = useQuery(aliasMovesQuery(project, model));
  return (
    <Panel title="Alias history">
      <Loaded query={query}>
        {(moves) =>
          moves.length === 0 ? (
            <p className="dim">No alias has moved.</p>
          ) : (
            <ol className="timeline">
              {moves.map((m) => (
                <li key={m.id}>
                  <span className={`tag${m.alias === "champion" ? " tag-strong" : ""}`}>{m.alias}</span>{" "}
                  <span className="num">{m.from_version ? `v${m.from_version} → ` : ""}<b>v{m.to_version}</b></span>
                  <div className="cell-sub">{m.actor} · <Ago at={m.at} /></div>
                </li>
              ))}
            </ol>
          )
        }
      </Loaded>
    </Panel>
  );
}
