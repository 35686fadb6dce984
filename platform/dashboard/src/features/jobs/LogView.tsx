import { Button, Select, Switch, TextInput } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState } from "react";
import { downloadUrl } from "../../api/queries";
import type { Job, LogLevel } from "../../api/types";
import { plural } from "../../shared/format";
import { DownIcon, JobsIcon, SearchIcon } from "../../shared/icons";
import { Empty } from "../../shared/parts";
import { linesOf, matching } from "./log-lines";
import type { Stream } from "./useJobStream";
import "./log.css";

const LINE = 19;
const LEVELS = [
  { value: "", label: "Any level" },
  { value: "info", label: "Info and graver" },
  { value: "warning", label: "Warnings and errors" },
  { value: "error", label: "Errors" },
];

export function LogView({ job, stream }: { job: Job; stream: Stream }) {
  const [follow, setFollow] = useState(true);
  const [search, setSearch] = useState("");
  const box = useRef<HTMLDivElement>(null);
  const [source, setSource] = useState("");
  const [level, setLevel] = useState<LogLevel | "">("");
  const lines = useMemo(() => linesOf(stream.log), [stream.log]);
  const sources = useMemo(() => [...new Set(lines.map((l) => l.source))].sort((a, b) => a.localeCompare(b, "en", { numeric: true })), [lines]);
  const shown = useMemo(() => matching(lines, { source, level, search }), [lines, source, level, search]);
  const firstError = shown.findIndex((l) => l.level === "error");
  const virtual = useVirtualizer({ count: shown.length, getScrollElement: () => box.current, estimateSize: () => LINE, overscan: 30 });

  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [follow, shown.length]);

  if (stream.log.length === 0) {
    return <Empty icon={<JobsIcon size={22} />} title={stream.state === "over" ? "It wrote nothing" : "No line yet"}>The log of all workers appears here as it is written.</Empty>;
  }
  return (
    <div className="log">
      <div className="log-bar">
        <TextInput size="xs" aria-label="Search the log" placeholder="Search" leftSection={<SearchIcon size={13} />} value={search} onChange={(e) => setSearch(e.currentTarget.value)} w={200} />
        <Select size="xs" aria-label="Source" data={[{ value: "", label: "Driver and all ranks" }, ...sources]} value={source} onChange={(v) => setSource(v ?? "")} w={170} />
        <Select size="xs" aria-label="Level" data={LEVELS} value={level} onChange={(v) => setLevel((v ?? "") as LogLevel | "")} w={160} />
        <span className="dim num">{shown.length < lines.length ? `${shown.length} of ${plural(lines.length, "line")}` : plural(lines.length, "line")}</span>
        {firstError >= 0 && (
          <Button size="compact-xs" variant="light" color="red" onClick={() => { setFollow(false); virtual.scrollToIndex(firstError, { align: "center" }); }}>
            First error
          </Button>
        )}
        <span style={{ marginLeft: "auto" }} />
        <Switch size="xs" label="Follow" checked={follow} onChange={(e) => setFollow(e.currentTarget.checked)} />
        <Button size="compact-xs" variant="default" leftSection={<DownIcon size={13} />} component="a" href={downloadUrl(job.project, job.id, { source, level, search })} download={`${job.id}.log`}>
          Download
        </Button>
      </div>
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div ref={box} className="log-box" tabIndex={0} role="log" aria-label="Log" aria-live="off" onWheel={(e) => { if (e.deltaY < 0) setFollow(false); }}>
        <div style={{ height: virtual.getTotalSize(), position: "relative" }}>
          {virtual.getVirtualItems().map((item) => {
            const line = shown[item.index];
            if (!line) return null;
            return (
              <div key={item.key} className={`log-line log-${line.level}`} style={{ transform: `translateY(${item.start}px)` }}>
                <span className="log-number">{line.number}</span>
                <span className="log-source">{line.source}</span>
                <span>{line.text}</span>
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}
