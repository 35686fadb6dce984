import { Button } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { abtestQuery, isOver, stopTest } from "../../api/queries";
import type { ABTest, Look } from "../../api/types";
import { confirmThen } from "../../shared/confirm";
import { number, percent, pValue, signed, words } from "../../shared/format";
import { CheckIcon, CrossIcon, ScaleIcon, SpinIcon, WarnIcon } from "../../shared/icons";
import { LineChart } from "../../shared/LineChart";
import { CopyId, Empty, Facts, Freshness, Loaded, PageHead, Panel, Stat } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { RefLink } from "../../shared/RefLink";
import { domainWithZero, type Point, type Reading, readInterval } from "../../shared/series";
import { Status } from "../../shared/Status";
import { Table } from "../../shared/Table";
import { Ago } from "../../shared/Time";
import { greaterIsBetter, Interval } from "./Interval";

const READING: Record<Reading, string> = {
  better: "The whole interval is above what must be gained: treatment is better.",
  worse: "The whole interval is on the wrong side of zero: treatment is worse.",
  no_difference: "The whole interval lies within the smallest effect that matters: there is no difference worth having.",
  unclear: "The interval still holds both a gain and a loss: more outcomes are needed.",
};
const VERDICT = {
  promote: ["ok", CheckIcon, "Promote"], roll_back: ["bad", CrossIcon, "Roll back"], inconclusive: ["warn", WarnIcon, "Inconclusive"], go_on: ["run", SpinIcon, "Go on"],
} as const;

function Verdict({ test }: { test: ABTest }) {
  const [tone, Icon, word] = VERDICT[test.decision as keyof typeof VERDICT] ?? VERDICT.go_on;
  const reading = test.estimate ? READING[readInterval(test.estimate.lower, test.estimate.upper, test.min_effect, greaterIsBetter(test))] : "";
  return (
    <div className={`notice notice-${tone}`}>
      <Icon size={18} />
      <div><b>{word}.</b> {test.message || reading}</div>
    </div>
  );
}

function SampleRatio({ test }: { test: ABTest }) {
  const { srm } = test;
  if (!srm?.alarm) return null;
  const seen = srm.observed.control + srm.observed.treatment;
  return (
    <div className="notice notice-bad" role="alert">
      <WarnIcon size={18} />
      <div>
        <b>The split is not what it should be (p = {pValue(srm.p_value)}).</b> Treatment has {percent(srm.observed.treatment / Math.max(1, seen), 1)} of the units instead of {percent(srm.expected.treatment / (srm.expected.control + srm.expected.treatment), 1)}: rows are lost or counted twice on one side. No verdict is to be trusted before the cause is found.
      </div>
    </div>
  );
}

const units = (l: Look): number => l.units.control + l.units.treatment;

function Effect({ test }: { test: ABTest }) {
  const looks = test.looks.filter((l) => l.difference !== null && l.lower !== null && l.upper !== null && Number.isFinite(l.lower) && Number.isFinite(l.upper));
  if (looks.length === 0) return <Empty icon={<ScaleIcon size={22} />} title="No estimate yet">It appears with the first outcomes of both arms.</Empty>;
  const curve = (of: (l: Look) => number | null): Point[] => looks.map((l): Point => [units(l), of(l) ?? Number.NaN]);
  // The first looks are so wide that they would flatten all others: the scale is that of the later half.
  const settled = looks.slice(Math.floor(looks.length / 2));
  const range = domainWithZero([...settled.flatMap((l) => [(l.lower ?? 0) * 1.25, (l.upper ?? 0) * 1.25]), test.min_effect]);
  return (
    <LineChart
      label={`Difference of ${test.treatment} to ${test.control} over outcomes, with its interval`}
      curves={[
        { name: "lower", points: curve((l) => l.lower), color: "--c1", width: 1, dash: [3, 3] },
        { name: "upper", points: curve((l) => l.upper), color: "--c1", width: 1, dash: [3, 3] },
        { name: "difference", points: curve((l) => l.difference), color: "--c1", width: 2.5, dots: looks.length < 40 },
      ]}
      band
      zero
      range={range}
      height={290}
      xLabel="outcomes"
      format={signed}
    />
  );
}

function Arms({ test }: { test: ABTest }) {
  const { estimate, srm } = test;
  const rows = (["control", "treatment"] as const).map((arm) => ({ arm, name: test[arm] }));
  return (
    <Table
      label="Arms"
      rows={rows}
      rowKey={(r) => r.arm}
      columns={[
        { head: "Arm", cell: (r) => <><b>{r.name}</b> <span className="dim">{r.arm}</span></> },
        { head: "Outcomes", align: "right", cell: (r) => number(estimate?.units[r.arm] ?? 0) },
        { head: `Mean ${words(test.metric.kind)}`, align: "right", cell: (r) => number(estimate?.means[r.arm]) },
        { head: "Units seen", align: "right", cell: (r) => number(srm?.observed[r.arm]) },
        { head: "Units expected", align: "right", cell: (r) => (srm ? number(expected(srm, r.arm)) : "–"), minor: true },
      ]}
    />
  );
}

/** The API may tell the expected split as shares or as counts; shown are counts. */
function expected(srm: NonNullable<ABTest["srm"]>, arm: "control" | "treatment"): number {
  const total = srm.expected.control + srm.expected.treatment;
  return Math.round((srm.expected[arm] / total) * (srm.observed.control + srm.observed.treatment));
}

export function ABTestPage() {
  const project = useProject();
  const { test: id } = useParams({ from: "/shell/abtests/$test" });
  const query = useQuery(abtestQuery(project, id));
  const client = useQueryClient();
  const stop = useMutation({ mutationFn: () => stopTest(project, id), onSuccess: () => client.invalidateQueries({ queryKey: [project, "abtest", id] }) });
  return (
    <Loaded query={query} lines={8}>
      {(test) => {
        const level = percent(1 - test.alpha, test.alpha * 100 === Math.round(test.alpha * 100) ? 0 : 1);
        return (
          <div className="page">
            <PageHead
              title={test.name}
              status={<Status value={test.status} />}
              sub={<><span>{test.treatment} against {test.control} on <RefLink kind="endpoint" id={test.endpoint} /></span><CopyId value={test.id} /><Freshness updatedAt={query.dataUpdatedAt} live={isOver(test.status) ? "final" : "every 3 s"} failing={query.isRefetchError} /></>}
              actions={!isOver(test.status) && <Button variant="light" color="red" loading={stop.isPending} onClick={() => confirmThen(`Stop ${test.name}? The traffic stays as it is.`, () => stop.mutate())}>Stop</Button>}
            />
            <SampleRatio test={test} />
            <Verdict test={test} />
            <div className="cols">
              <div className="w8">
                <Panel title="Difference over time" note={`${words(test.metric.kind)}, treatment − control, ${level} interval that holds at every look`}><Effect test={test} /></Panel>
              </div>
              <div className="w4 stack">
                <Panel title="Now">
                  <div className="stack">
                    <Stat label={`${words(test.metric.kind)}, treatment − control`} value={signed(test.estimate?.difference)} note={test.estimate ? `${level} interval ${signed(test.estimate.lower)} to ${signed(test.estimate.upper)}` : "no outcome yet"} />
                    <Interval test={test} />
                  </div>
                </Panel>
                <Panel title="Rules">
                  <Facts items={[
                    ["Chance of a wrong verdict", `at most ${percent(test.alpha, 1)}`],
                    ["Must gain", test.min_effect === 0 ? "anything above 0" : `more than ${signed(test.min_effect)}`],
                    ["Before a verdict", `${number(test.min_units)} outcomes an arm`],
                    ["Ends at", `${number(test.max_units)} outcomes`],
                    ["When it wins", test.on_win === "promote" ? "promoted" : "nothing"],
                    ["Split check", test.srm ? `p = ${pValue(test.srm.p_value)}` : "–"],
                    ["Started", <Ago key="s" at={test.created_at} />],
                    ["Decided", <Ago key="d" at={test.decided_at} />],
                  ]} />
                </Panel>
              </div>
            </div>
            <Panel title="Arms" flush><Arms test={test} /></Panel>
          </div>
        );
      }}
    </Loaded>
  );
}
