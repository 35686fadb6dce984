import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { ApiError } from "../../api/problem";
import { eventsUrl, fetchLog, isOver, jobKey } from "../../api/queries";
import type { components } from "../../api/schema";
import type { Job, LogEntry } from "../../api/types";

/** What a `log` event holds, and a page of the log too. */
type LogUpdate = Pick<components["schemas"]["LogView"], "entries" | "cursor">;

export interface Stream {
  log: readonly LogEntry[];
  /** `live`: the server pushes. `polling`: it is asked every few seconds. `over`: nothing will follow. */
  state: "connecting" | "live" | "polling" | "over";
  heardAt: number;
}

const POLL_MS = 3_000;

/** Follows a job over server-sent events; where they do not get through (a proxy, an old gateway), by asking. */
export function useJobStream(project: string, id: string): Stream {
  const client = useQueryClient();
  const [stream, setStream] = useState<Stream>({ log: [], state: "connecting", heardAt: 0 });

  useEffect(() => {
    let timer: number | undefined;
    let closed = false;
    let cursor = "";
    const change = (next: Partial<Stream>) => setStream((now) => ({ ...now, ...next, heardAt: Date.now() }));
    const take = (update: LogUpdate) => {
      cursor = update.cursor;
      setStream((now) => ({ ...now, heardAt: Date.now(), log: [...now.log, ...update.entries] }));
    };
    setStream({ log: [], state: "connecting", heardAt: 0 });

    const poll = async () => {
      if (closed) return;
      try {
        const chunk = await fetchLog(project, id, cursor);
        if (closed) return;
        take(chunk);
        if (chunk.complete) return change({ state: "over" });
      } catch (error) {
        if (error instanceof ApiError && error.status < 500 && error.status !== 429) {
          // Who may no longer read it asks no more; the page says why, or leads to the sign-in.
          void client.invalidateQueries({ queryKey: jobKey(project, id) });
          return change({ state: "over" });
        }
        // The page says that the job can't be read; here it is asked again.
      }
      timer = window.setTimeout(() => void poll(), POLL_MS);
    };

    const source = new EventSource(eventsUrl(project, id));
    source.addEventListener("open", () => change({ state: "live" }));
    source.addEventListener("log", (event) => {
      take(JSON.parse(event.data as string) as LogUpdate);
    });
    source.addEventListener("metrics", () => {
      change({});
      void client.invalidateQueries({ queryKey: [project, "job-metrics", id] });
      void client.invalidateQueries({ queryKey: [project, "job-trials", id] });
    });
    source.addEventListener("job", (event) => {
      const job = JSON.parse(event.data as string) as Job;
      client.setQueryData(jobKey(project, id), job);
      change({});
      if (isOver(job.status)) {
        source.close();
        change({ state: "over" });
      }
    });
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) return change({ state: "connecting" });
      change({ state: "polling" });
      void poll();
    });
    return () => {
      closed = true;
      source.close();
      window.clearTimeout(timer);
    };
  }, [client, project, id]);
  return stream;
}
