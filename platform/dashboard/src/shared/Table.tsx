import type { ReactNode } from "react";

export interface Column<Row> {
  head: ReactNode;
  cell: (row: Row) => ReactNode;
  align?: "right";
  /** Left out on narrow screens. */
  minor?: boolean;
  width?: number | string;
}

/** A plain table: sticky head, quiet lines. Links in rows marked `data-row` are walked with j and k. */
export function Table<Row>({ rows, columns, rowKey, label, marked }: {
  rows: readonly Row[];
  columns: readonly Column<Row>[];
  rowKey: (row: Row) => string;
  label: string;
  marked?: (row: Row) => boolean;
}) {
  const className = (c: Column<Row>) => [c.align === "right" ? "right num" : "", c.minor ? "minor" : ""].join(" ").trim() || undefined;
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className="table-scroll" tabIndex={0} role="region" aria-label={label}>
      <table className="table">
        <thead>
          <tr>
            {columns.map((c, i) => (
              <th key={i} scope="col" className={className(c)} style={c.width ? { width: c.width } : undefined}>
                {c.head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={rowKey(row)} className={marked?.(row) ? "marked" : undefined}>
              {columns.map((c, i) => (
                <td key={i} className={className(c)}>{c.cell(row)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
