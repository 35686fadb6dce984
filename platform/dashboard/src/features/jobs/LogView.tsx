import { Button, Switch, TextInput } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState } from "react";
import { plural } from "../../shared/format";
import { DownIcon, JobsIcon, SearchIcon } from "../../shared/icons";
import { Empty } from "../../shared/parts";
import type { Stream } from "./useJobStream";
import "./log.css";

// oxlint-disable-next-line no-control-regex
const ANSI = /\u001b\[[0-9;?]*[A-Za-z]/g;
const ERROR = /\b(error|exception|traceback|fatal|killed|oom)\b/i;
const WARNING = /\bwarn(ing)?\b/i;
const LINE = 19;

export function toneOfLine(line: string): "bad" | "warn" | undefined {
  return ERROR.test(line) ? "bad" : WARNING.test(line) ? "warn" : undefined;
}

export function LogView({ stream, name }: { stream: Stream; name: string }) {
  const [follow, setFollow] = useState(true);
  const [search, setSearch] = useState("");
  const box = useRef<HTMLDivElement>(null);
  const lines = useMemo(() => stream.log.replaceAll(ANSI, "").replace(/\n$/, "").split("\n"), [stream.log]);
  const shown = useMemo(() => {
    const numbered = lines.map((text, i) => ({ text, number: i + 1 }));
    return search ? numbered.filter((l) => l.text.toLowerCase().includes(search.toLowerCase())) : numbered;
  }, [lines, search]);
  const firstError = shown.findIndex((l) => toneOfLine(l.text) === "bad");
  const virtual = useVirtualizer({ count: shown.length, getScrollElement: () => box.current, estimateSize: () => LINE, overscan: 30 });

  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [follow, shown.length]);

  if (stream.log === "") {
    return <Empty icon={<JobsIcon size={22} />} title={stream.state === "over" ? "It wrote nothing" : "No line yet"}>The log of all workers appears here as it is written.</Empty>;
  }
  return (
    <div className="log">
      <div className="log-bar">
        <TextInput size="xs" aria-label="Search the log" placeholder="Search" leftSection={<SearchIcon size={13} />} value={search} onChange={(e) => setSearch(e.currentTarget.value)} w={200} />
        <span className="dim num">{search ? `${shown.length} of ${plural(lines.length, "line")}` : plural(lines.length, "line")}</span>
        {firstError >= 0 && (
          <Button size="compact-xs" variant="light" color="red" onClick={() => { setFollow(false); virtual.scrollToIndex(firstError, { align: "center" }); }}>
            First error
          </Button>
        )}
        <span style={{ marginLeft: "auto" }} />
        <Switch size="xs" label="Follow" checked={follow} onChange={(e) => setFollow(e.currentTarget.checked)} />
        <Button size="compact-xs" variant="default" leftSection={<DownIcon size={13} />} component="a" href={`data:text/plain;charset=utf-8,${encodeURIComponent(stream.log)}`} download={`${name}.log`}>
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
              <div key={item.key} className={`log-line log-${toneOfLine(line.text) ?? "plain"}`} style={{ transform: `translateY(${item.start}px)` }}>
                <span className="log-number">{line.number}</span>
                <span>{line.text}</span>
              </div>
            );
          })}
        </div>
      </div>
    </div>
  );
}
