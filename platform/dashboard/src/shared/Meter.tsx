import { number } from "./format";
import "./meter.css";

/** How much is held of what there is, or may be; without a limit there is nothing to fill. */
export function Meter({ label, used, limit, write = number, note = "" }: {
  label: string;
  used: number;
  limit: number | null | undefined;
  write?: (value: number) => string;
  note?: string;
}) {
  const text = `${write(used)}${limit == null ? ", no limit" : ` of ${write(limit)}`}${note && ` ${note}`}`;
  return (
    <>
      <p className="room-line"><span>{label}</span><span className="dim num">{text}</span></p>
      {limit != null && (
        <div className="room-bar" role="meter" aria-label={label} aria-valuenow={used} aria-valuemin={0} aria-valuemax={limit} aria-valuetext={text}>
          {used > 0 && <span data-over={used > limit} style={{ width: `${Math.min(100, (used / limit) * 100)}%` }} />}
        </div>
      )}
    </>
  );
}
