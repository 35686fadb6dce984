import { Button, Select, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { createToken, membersQuery, revokeToken, TOKENS_SHOWN, tokensQuery } from "../../api/queries";
import type { Me, Scope, Token } from "../../api/types";
import { confirmThen } from "../../shared/confirm";
import { KeyIcon } from "../../shared/icons";
import { Code, Empty, Loaded, Panel, Problem } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { Status } from "../../shared/Status";
import { type Column, Table } from "../../shared/Table";
import { Ago, useNow } from "../../shared/Time";
import { inProject, scopesWithin, tokenState } from "./access";

const MEANINGS: Record<Scope, string> = {
  admin: "admin: all that its owner may", write: "write: all but who gets in", read: "read: look at everything", predict: "predict: ask endpoints only",
};
const DAYS = [{ value: "30", label: "30 days" }, { value: "90", label: "90 days" }, { value: "365", label: "a year" }, { value: "", label: "no end" }];

function Create({ project, me }: { project: string | null; me: Me }) {
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [scope, setScope] = useState<Scope>("write");
  const [days, setDays] = useState("90");
  const [owner, setOwner] = useState("");
  const admin = project !== null && me.roles[project] === "admin";
  const members = useQuery({ ...membersQuery(project ?? ""), enabled: admin }).data ?? [];
  const accounts = admin ? members.filter((m) => m.kind === "service_account") : [];
  const create = useMutation({
    mutationFn: () => createToken(project, { name: name.trim(), scope, expires_in_days: days ? Number(days) : null, ...(owner && { service_account: owner }) }),
    meta: { placed: true },
    gcTime: 0, // what it answers is nowhere kept
    onSuccess: () => {
      setName("");
      return client.invalidateQueries({ queryKey: tokensQuery(project).queryKey });
    },
  });
  return (
    <form
      className="pad stack panel-foot"
      onSubmit={(event) => {
        event.preventDefault();
        if (name.trim()) create.mutate();
      }}
    >
      {create.error && <Problem error={create.error} />}
      {create.data && (
        <div className="notice notice-ok" role="status">
          <KeyIcon />
          <div style={{ flex: 1, minWidth: 0 }}>
            <b>The token {create.data.name}.</b> Copy it now: it is not shown again.
            <Code text={create.data.token} label="token" />
          </div>
          <Button variant="default" onClick={() => create.reset()}>Done</Button>
        </div>
      )}
      <div className="row fields">
        <TextInput label="New token" placeholder="what it is for" value={name} onChange={(e) => setName(e.currentTarget.value)} maxLength={63} style={{ flex: "1 1 160px" }} />
        {accounts.length > 0 && <Select label="Owner" data={[{ value: "", label: me.actor }, ...accounts.map((m) => ({ value: m.name.slice(m.name.indexOf("/") + 1), label: m.name }))]} value={owner} onChange={(v) => setOwner(v ?? "")} w={150} />}
        <Select label="Scope" data={scopesWithin(me.scope).map((value) => ({ value, label: MEANINGS[value] }))} value={scope} onChange={(v) => setScope((v ?? "write") as Scope)} w={240} />
        <Select label="Ends after" data={DAYS} value={days} onChange={(v) => setDays(v ?? "90")} w={110} />
        <Button type="submit" size="sm" loading={create.isPending} disabled={!name.trim()}>Create</Button>
      </div>
    </form>
  );
}

/** The tokens of a project, or with `mine` one's own for all projects. A secret is shown once, to whoever made it. */
export function Tokens({ me, mine = false }: { me: Me; mine?: boolean }) {
  const name = useProject();
  const project = mine ? null : name;
  const client = useQueryClient();
  const now = useNow();
  const tokens = useQuery(tokensQuery(project));
  const write = me.scope === "admin" || me.scope === "write";
  const revoke = useMutation({
    mutationFn: (token: Token) => revokeToken(project, token.id),
    meta: { placed: true },
    onSettled: () => client.invalidateQueries({ queryKey: tokensQuery(project).queryKey }),
  });
  const state = (t: Token) => tokenState(t, now);
  const columns: Column<Token>[] = [
    { head: "Status", cell: (t) => <Status value={state(t)} />, width: 100 },
    { head: "Token", cell: (t) => <div className="cell-main"><b>{t.name}</b><span className="cell-sub mono nowrap">{t.prefix}…</span></div> },
    { head: "Scope", cell: (t) => <span className="tag">{t.scope}</span> },
    ...(mine ? [] : [{ head: "Owner", cell: (t: Token) => t.owner, minor: true }]),
    { head: "Ends", cell: (t) => (t.revoked_at ? <Ago at={t.revoked_at} /> : t.expires_at ? <Ago at={t.expires_at} /> : <span className="dim">never</span>) },
    { head: "Last used", cell: (t) => (t.last_used_at ? <Ago at={t.last_used_at} /> : <span className="dim">never</span>), minor: true },
    { head: "Created", cell: (t) => <Ago at={t.created_at} />, minor: true },
    ...(write ? [{
      head: <span className="sr-only">Actions</span>,
      align: "right" as const,
      cell: (t: Token) => state(t) === "active" && <Button size="compact-xs" variant="subtle" color="red" aria-label={`Revoke ${t.name}`} onClick={() => confirmThen(`Revoke ${t.name}? Whatever uses it is shut out at once.`, () => revoke.mutate(t))}>Revoke</Button>,
    }] : []),
  ];
  const command = mine ? "ratchet tokens create NAME --scope write --mine" : inProject("ratchet tokens create NAME --scope write", name);
  return (
    <Panel title={mine ? "Your own tokens" : `Tokens of ${name}`} flush note={mine ? "for all that you may do, in every project" : me.roles[name] === "admin" ? "they open this project alone" : "yours; they open this project alone"}>
      {revoke.error && <div className="pad"><Problem error={revoke.error} /></div>}
      <Loaded query={tokens} lines={3}>
        {(items) =>
          items.length === 0 ? (
            <Empty icon={<KeyIcon size={22} />} title="No tokens" command={command}>A token lets a program in, as far as its scope reaches. Make one here, or from a terminal.</Empty>
          ) : (
            <>
              <Table rows={items} columns={columns} rowKey={(t) => t.id} label={mine ? "Your own tokens" : "Tokens"} />
              {items.length === TOKENS_SHOWN && <p className="dim pad">These are the newest {TOKENS_SHOWN}. <code>ratchet tokens list</code> shows all.</p>}
            </>
          )
        }
      </Loaded>
      {write && <Create project={project} me={me} />}
    </Panel>
  );
}
