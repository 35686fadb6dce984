import { Button } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { auditQuery, recentJobs } from "../../api/queries";
import { words } from "../../shared/format";
import { EventsIcon, JobsIcon, PlusIcon } from "../../shared/icons";
import { Empty, Loaded, PageHead, Panel } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { RefLink } from "../../shared/RefLink";
import { Status } from "../../shared/Status";
import { Ago, Took } from "../../shared/Time";
import { ActionLine } from "../events/ActionLine";
import { Loop } from "./Loop";
import { Room } from "./Room";
import "./overview.css";

export function OverviewPage() {
  const project = useProject();
  const jobs = useQuery(recentJobs(project));
  const events = useQuery(auditQuery(project, 12));
  return (
    <div className="page">
      <PageHead
        title="Overview"
        sub="A model takes traffic only on evidence that it is better."
        actions={<Button component={Link} to="/jobs/new" leftSection={<PlusIcon size={14} />}>New job</Button>}
      />
      <Loop />
      <div className="cols">
        <div className="w7 stack">
          <Panel title="Latest jobs" flush aside={<Link to="/jobs" className="link">All jobs</Link>}>
            <Loaded query={jobs}>
              {(items) =>
                items.length === 0 ? (
                  <Empty icon={<JobsIcon size={22} />} title="Nothing has run yet" command="ratchet train --data sklearn://breast_cancer --model cancer --follow">
                    Train a first model: this trains on a data set that comes with scikit-learn, and registers the result.
                  </Empty>
                ) : (
                  <ul className="lines">
                    {items.map((job) => (
                      <li key={job.id}>
                        <Status value={job.status} />
                        <span className="lines-main"><RefLink kind="job" id={job.id}>{job.name || job.id}</RefLink> <span className="tag">{words(job.kind)}</span></span>
                        <span className="dim minor"><Took from={job.started_at} to={job.ended_at} /></span>
                        <span className="dim lines-time"><Ago at={job.created_at} /></span>
                      </li>
                    ))}
                  </ul>
                )
              }
            </Loaded>
          </Panel>
          <Room />
        </div>
        <div className="w5">
          <Panel title="What happened" flush aside={<Link to="/events" className="link">All events</Link>}>
            <Loaded query={events}>
              {(items) =>
                items.length === 0 ? (
                  <Empty icon={<EventsIcon size={22} />} title="No events yet">Every change, by a person or by Ratchet itself, is written down here.</Empty>
                ) : (
                  <ul className="lines">
                    {items.map((event) => (
                      <li key={event.id}>
                        <span className="lines-main"><ActionLine event={event} /></span>
                        <span className="dim lines-time"><Ago at={event.at} /></span>
                      </li>
                    ))}
                  </ul>
                )
              }
            </Loaded>
          </Panel>
        </div>
      </div>
    </div>
  );
}
