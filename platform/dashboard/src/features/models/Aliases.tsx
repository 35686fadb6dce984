export function Aliases({ list }: { list: string[] }) {
  if (list.length === 0) return <span className="dim">–</span>;
  return (
    <span className="row" style={{ gap: 5 }}>
      {list.map((alias) => <span key={alias} className={`tag${alias.startsWith("champion") ? " tag-strong" : ""}`}>{alias}</span>)}
    </span>
  );
}
