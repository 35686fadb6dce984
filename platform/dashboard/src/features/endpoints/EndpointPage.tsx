import { useQuery } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { abtestsQuery, endpointQuery, predictionsQuery, trafficQuery } from "../../api/queries";
import type { Endpoint, Variant } from "../../api/types";
import { number, percent, sentence, signed } from "../../shared/format";
import { MonitorIcon, ScaleIcon, WarnIcon } from "../../shared/icons";
import { LineChart } from "../../shared/LineChart";
import { Code, CopyId, Empty, Freshness, Loaded, PageHead, Panel } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { RefLink } from "../../shared/RefLink";
import { Status } from "../../shared/Status";
import { type Column, Table } from "../../shared/Table";
import { Ago } from "../../shared/Time";
import { trafficCurves } from "./traffic";
import { variantColor, WeightsBar } from "./WeightsBar";

function columns(endpoint: Endpoint): Column<Variant>[] {
  const place = (v: Variant) => endpoint.variants.indexOf(v);
  return [
    { head: "Variant", cell: (v) => <><span className="swatch" style={{ background: `var(${variantColor(place(v))})` }} />{v.name}</> },
    { head: "Share", align: "right", cell: (v) => <b>{percent(v.weight, v.weight * 100 === Math.round(v.weight * 100) ? 0 : 1)}</b> },
    { head: "Model", cell: (v) => <><RefLink kind="model" id={v.model}>{v.model} v{v.version ?? "?"}</RefLink> {v.alias && <span className="tag">follows {v.alias}</span>}</> },
    { head: "State", cell: (v) => <Status value={v.state} /> },
    { head: "Says", cell: (v) => v.message ?? "", minor: true },
  ];
}

/** Columns of the prediction log that are worth a look, in this order. */
const LOGGED = ["timestamp", "variant", "model_version", "key", "prediction", "outcome", "request_id"];

function Requests({ project, name }: { project: string; name: string }) {
  const rows = useQuery(predictionsQuery(project, name));
  return (
    <Panel title="Latest predictions" flush note="Every one is logged with its variant; outcomes join by request id.">
      <Loaded query={rows}>
        {(items) =>
          items.length === 0 ? (
            <p className="dim pad">No request yet.</p>
          ) : (
            <Table
              label="Predictions"
              rows={items.map((row, i) => ({ row, key: `${String(row.request_id)}/${String(row.row ?? i)}` }))}
              rowKey={(r) => r.key}
              columns={LOGGED.map((head): Column<{ row: Record<string, unknown>; key: string }> => ({
                head: head.replace("_", " "),
                minor: head === "key",
                cell: ({ row }) => {
                  const value = row[head];
                  if (value === null || value === undefined) return <span className="dim">{head === "outcome" ? "not known" : "–"}</span>;
                  if (head === "timestamp") return <Ago at={String(value)} />;
                  if (head === "request_id") return <CopyId value={String(value)} shown={String(value).slice(0, 10)} />;
                  return String(value);
                },
              }))}
            />
          )
        }
      </Loaded>
    </Panel>
  );
}

function Tests({ project, name }: { project: string; name: string }) {
  const tests = useQuery(abtestsQuery(project));
  const own = tests.data?.filter((t) => t.endpoint === name) ?? [];
  const [latest] = own;
  if (!latest) return <Panel title="A/B test"><div className="stack"><p className="dim">Compare two variants on live traffic:</p><Code text={`ratchet abtests create better \\\n  --endpoint ${name} --control a --treatment b`} /></div></Panel>;
  return (
    <Panel title="A/B test" aside={<Status value={latest.status} />}>
      <div className="stack" style={{ gap: 8 }}>
        <Link to="/abtests/$test" params={{ test: latest.id }} className="link"><ScaleIcon size={14} /> {latest.name}</Link>
        <p>{latest.message}</p>
        {latest.estimate && <p className="dim num">{signed(latest.estimate.difference)} [{signed(latest.estimate.lower)}, {signed(latest.estimate.upper)}] over {number(latest.estimate.units.control + latest.estimate.units.treatment)} outcomes</p>}
      </div>
    </Panel>
  );
}

export function EndpointPage() {
  const project = useProject();
  const { endpoint: name } = useParams({ from: "/shell/endpoints/$endpoint" });
  const query = useQuery(endpointQuery(project, name));
  const traffic = useQuery(trafficQuery(project, name));
  return (
    <Loaded query={query} lines={8}>
      {(endpoint) => {
        const curves = trafficCurves(traffic.data?.items ?? [], endpoint.variants.map((v) => v.name), variantColor);
        const curl = `curl ${endpoint.url}/predict \\\n  -H "Authorization: Bearer $RATCHET_TOKEN" \\\n  -H 'Content-Type: application/json' \\\n  -d '{"inputs": [{"column": 1.0}], "key": "user-17"}'`;
        return (
          <div className="page">
            <PageHead
              title={endpoint.name}
              status={<Status value={endpoint.status} />}
              sub={<><CopyId value={endpoint.url} /><span>generation {endpoint.observed_generation} of {endpoint.generation}</span><Freshness updatedAt={query.dataUpdatedAt} live="every 3 s" failing={query.isRefetchError} /></>}
            />
            {endpoint.message && !["ready"].includes(endpoint.status) && <div className={`notice notice-${endpoint.status === "failed" ? "bad" : "warn"}`}><WarnIcon /><div><b>{sentence(endpoint.reason)}</b> {endpoint.message}</div></div>}
            <Panel title="Variants" flush note="A caller's key always meets the same variant.">
              <div className="pad"><WeightsBar variants={endpoint.variants} tall /></div>
              <Table rows={endpoint.variants} columns={columns(endpoint)} rowKey={(v) => v.name} label="Variants" />
            </Panel>
            <div className="cols">
              <div className="w8">
                <Panel title="Requests a minute" note={traffic.data?.truncated ? "the oldest minutes are left out" : "by variant, UTC"} aside={<Freshness updatedAt={traffic.dataUpdatedAt} live="every 5 s" failing={traffic.isRefetchError} />}>
                  {curves.length === 0 ? <Empty icon={<MonitorIcon size={22} />} title="No request in this window">Ask it for a prediction, and the traffic appears here.</Empty> : <LineChart curves={curves} time label={`Requests a minute of ${endpoint.name}, by variant`} />}
                </Panel>
              </div>
              <div className="w4 stack">
                <Tests project={project} name={name} />
                <Panel title="Ask for a prediction"><Code text={curl} label="curl command" /></Panel>
              </div>
            </div>
            <Requests project={project} name={name} />
          </div>
        );
      }}
    </Loaded>
  );
}
