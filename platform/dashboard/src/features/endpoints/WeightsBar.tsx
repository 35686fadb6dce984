import type { Variant } from "../../api/types";
import { percent } from "../../shared/format";
import "./endpoints.css";

export const VARIANT_COLORS = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6"];
export const variantColor = (index: number): string => VARIANT_COLORS[index % VARIANT_COLORS.length] ?? "--c8";

/** Who takes which share of the callers. */
export function WeightsBar({ variants, tall = false }: { variants: readonly Variant[]; tall?: boolean }) {
  const label = variants.map((v) => `${v.name} ${percent(v.weight)}`).join(", ");
  return (
    <div className={`weights${tall ? " weights-tall" : ""}`} role="img" aria-label={`Traffic: ${label}`} title={label}>
      {variants.map((v, i) =>
        v.weight > 0 ? (
          <span key={v.name} style={{ width: `${v.weight * 100}%`, background: `var(${variantColor(i)})` }}>
            {tall && v.weight >= 0.12 && <b>{v.name} {percent(v.weight)}</b>}
          </span>
        ) : null,
      )}
    </div>
  );
}
