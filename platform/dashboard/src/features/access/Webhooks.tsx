import { Button } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { deliveriesQuery, testWebhook, webhooksQuery } from "../../api/queries";
import type { Webhook } from "../../api/types";
import { actionWords, plural } from "../../shared/format";
import { LinkIcon } from "../../shared/icons";
import { Code, CopyId, Empty, Loaded, Panel } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { Status } from "../../shared/Status";
import { Ago } from "../../shared/Time";
import { inProject } from "./access";

function One({ webhook, admin }: { webhook: Webhook; admin: boolean }) {
  const client = useQueryClient();
  const query = deliveriesQuery(webhook.project, webhook.name);
  const deliveries = useQuery(query);
  const test = useMutation({
    mutationFn: () => testWebhook(webhook.project, webhook.name),
    onSuccess: () => client.invalidateQueries({ queryKey: query.queryKey }),
  });
  return (
    <li className="webhook">
      <div className="row">
        <Status value={webhook.enabled ? "active" : "stopped"} label={webhook.enabled ? "on" : "off"} />
        <b>{webhook.name}</b>
        <CopyId value={webhook.url} />
        {webhook.events.map((event) => <span key={event} className="tag">{event}</span>)}
        {webhook.failures > 0 && <span className="dim">{plural(webhook.failures, "failure")} in a row</span>}
        {admin && <Button size="compact-xs" variant="default" style={{ marginLeft: "auto" }} loading={test.isPending} aria-label={`Send a test to ${webhook.name}`} onClick={() => test.mutate()}>Send a test</Button>}
      </div>
      {webhook.reason && <p className="cell-sub">{webhook.reason}</p>}
      <Loaded query={deliveries} lines={2}>
        {(items) =>
          items.length === 0 ? <p className="dim cell-sub">Nothing was sent yet.</p> : (
            <ul className="deliveries" aria-label={`Newest deliveries of ${webhook.name}`}>
              {items.map((d) => (
                <li key={d.id}>
                  <Status value={d.status} />
                  <span className="delivery-what">{actionWords(d.action)} <span className="dim">{[d.status_code, d.attempts > 1 && plural(d.attempts, "attempt"), d.message].filter(Boolean).join(" · ")}</span></span>
                  <span className="dim"><Ago at={d.created_at} /></span>
                </li>
              ))}
            </ul>
          )
        }
      </Loaded>
    </li>
  );
}

/** Where the project's events go, and whether they arrive. */
export function Webhooks({ admin }: { admin: boolean }) {
  const project = useProject();
  const webhooks = useQuery(webhooksQuery(project));
  const create = inProject("ratchet webhooks create NAME https://hooks.example.com/x -e job.failed", project);
  return (
    <Panel title="Webhooks" flush note="the project's events, sent to an address of yours">
      <Loaded query={webhooks} lines={3}>
        {(items) =>
          items.length === 0 ? (
            <Empty icon={<LinkIcon size={22} />} title="No webhooks" command={create}>A chat or a program of yours hears of what happens here. Each event is signed, and sent again until it arrives.</Empty>
          ) : (
            <>
              <ul className="webhooks">{items.map((w) => <One key={w.id} webhook={w} admin={admin} />)}</ul>
              {admin && <div className="pad panel-foot"><Code text={create} /></div>}
            </>
          )
        }
      </Loaded>
    </Panel>
  );
}
