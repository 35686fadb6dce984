import { Button, Switch } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { meQuery, QUEUE_SHOWN, queueQuery } from "../../api/queries";
import type { Queued } from "../../api/types";
import { number, plural, shortId, words } from "../../shared/format";
import { ClockIcon } from "../../shared/icons";
import { CopyId, Empty, Freshness, Loaded, PageHead, Panel } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { type Column, Table } from "../../shared/Table";
import { Took } from "../../shared/Time";
import { PredictedStart } from "../jobs/Why";
import { Room } from "../overview/Room";
import { asks } from "./asks";
import { Quota } from "./Quota";

const COLUMNS: Column<Queued>[] = [
  { head: "Place", align: "right", cell: (job) => job.position, width: 60 },
  {
    head: "Job",
    cell: (job) => (
      <div className="cell-main">
        <Link to="/jobs/$job" params={{ job: job.id }} search={{ project: job.project }} className="link nowrap" data-row>{job.name || job.id}</Link>
        <span className="cell-sub"><CopyId value={job.id} shown={shortId(job.id)} /></span>
      </div>
    ),
  },
  { head: "Kind", cell: (job) => <span className="tag">{words(job.kind)}</span>, minor: true },
  { head: "Priority", align: "right", cell: (job) => job.priority, minor: true },
  { head: "Asks for, and why it waits", cell: (job) => <div className="cell-main" style={{ minWidth: 180 }}><span>{asks(job)}</span><span className="cell-sub">{job.message}</span></div> },
  { head: "Starts", cell: (job) => <PredictedStart at={job.predicted_start_at} basis={job.predicted_start_basis} />, width: 190 },
  { head: "Waited", align: "right", cell: (job) => <Took from={job.queued_at} to={null} />, minor: true },
];
const PROJECT: Column<Queued> = { head: "Project", cell: (job) => <span className="tag">{job.project}</span> };

export function QueuePage() {
  const project = useProject();
  const search = useSearch({ from: "/shell/queue" });
  const navigate = useNavigate();
  const [size, setSize] = useState(QUEUE_SHOWN);
  const admin = useQuery(meQuery).data?.platform_admin === true;
  const all = admin && search.all === true;
  const queue = useQuery(queueQuery(project, all, size));
  return (
    <div className="page">
      <PageHead
        title="Queue"
        sub={
          <>
            {queue.data && <span>{plural(queue.data.length, "job")} of all projects {queue.data.length === 1 ? "waits" : "wait"}</span>}
            <Freshness updatedAt={queue.dataUpdatedAt} live="every 3 s" failing={queue.isError} />
          </>
        }
        actions={admin && <Switch label="All projects" checked={all} onChange={(e) => void navigate({ to: "/queue", search: { all: e.currentTarget.checked || undefined } })} />}
      />
      <div className="cols">
        <div className="w7"><Room /></div>
        <div className="w5"><Quota /></div>
      </div>
      <Panel title={all ? "Jobs of all projects" : `Jobs of ${project}`} flush note="in the order of their turns">
        <Loaded query={queue} lines={6}>
          {({ items }) =>
            items.length === 0 ? (
              <Empty icon={<ClockIcon size={22} />} title="Nothing waits" command="ratchet queue">
                Every job has got its room. A job stands here while the cluster has no room for it, while its project has used up its quota, or while others are before it.
              </Empty>
            ) : (
              <>
                <Table rows={items} columns={all ? [...COLUMNS.slice(0, 2), PROJECT, ...COLUMNS.slice(2)] : COLUMNS} rowKey={(job) => job.id} label="Queue" />
                {items.length >= size && size < 1000 && (
                  <div className="more"><Button variant="subtle" onClick={() => setSize(1000)}>More than the first {number(size)}</Button></div>
                )}
              </>
            )
          }
        </Loaded>
      </Panel>
    </div>
  );
}
