import { Button, Select, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { addMember, changeMember, deleteServiceAccount, membersQuery, meQuery, removeMember } from "../../api/queries";
import type { Me, Member, Role } from "../../api/types";
import { confirmThen } from "../../shared/confirm";
import { KeyIcon } from "../../shared/icons";
import { Code, Empty, Loaded, Panel, Problem } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { type Column, Table } from "../../shared/Table";
import { Ago } from "../../shared/Time";
import { inProject } from "./access";

const ROLES: Role[] = ["viewer", "editor", "admin"];
const SOURCES = { manual: "by hand", oidc: "by the login" };

function Add() {
  const project = useProject();
  const client = useQueryClient();
  const [user, setUser] = useState("");
  const [role, setRole] = useState<Role>("editor");
  const add = useMutation({
    mutationFn: () => addMember(project, user.trim(), role),
    meta: { placed: true },
    onSuccess: () => {
      setUser("");
      return client.invalidateQueries({ queryKey: membersQuery(project).queryKey });
    },
  });
  return (
    <form
      className="pad stack panel-foot"
      onSubmit={(event) => {
        event.preventDefault();
        if (user.trim()) add.mutate();
      }}
    >
      {add.error && <Problem error={add.error} />}
      <div className="row fields">
        <TextInput label="New member" placeholder="name or e-mail address" value={user} onChange={(e) => setUser(e.currentTarget.value)} maxLength={254} style={{ flex: "1 1 180px" }} />
        <Select label="Role" data={ROLES} value={role} onChange={(value) => setRole((value ?? "editor") as Role)} w={110} />
        <Button type="submit" size="sm" loading={add.isPending} disabled={!user.trim()}>Add</Button>
      </div>
    </form>
  );
}

/** Who may do what in the project: its people, or its service accounts. */
export function Members({ kind, me }: { kind: Member["kind"]; me: Me }) {
  const project = useProject();
  const client = useQueryClient();
  const members = useQuery(membersQuery(project));
  const admin = me.roles[project] === "admin";
  const people = kind === "user";
  const act = useMutation({
    mutationFn: ({ seen, role }: { seen: Member; role: Role | null }) => (role ? changeMember(project, seen, role) : people ? removeMember(project, seen) : deleteServiceAccount(project, seen)),
    meta: { placed: true },
    onSettled: async (_done, _error, { seen }) => {
      await client.invalidateQueries({ queryKey: membersQuery(project).queryKey });
      if (seen.id === me.id) await client.invalidateQueries({ queryKey: meQuery.queryKey });
    },
  });
  const change = (seen: Member) => (role: string | null) => {
    if (role && role !== seen.role) confirmThen(`Make ${seen.name} ${role === "viewer" ? "a" : "an"} ${role}?${seen.id === me.id ? " This is you." : ""}`, () => act.mutate({ seen, role: role as Role }));
  };
  const remove = (seen: Member) => () =>
    confirmThen(people ? `Remove ${seen.name} from ${project}?` : `Delete ${seen.name} and its tokens?`, () => act.mutate({ seen, role: null }));
  const columns: Column<Member>[] = [
    { head: "Name", cell: (m) => <b>{m.name}</b> },
    {
      head: "Role",
      cell: (m) => (admin ? <Select aria-label={`Role of ${m.name}`} size="xs" data={ROLES} value={m.role} onChange={change(m)} w={100} /> : <span className="tag">{m.role}</span>),
    },
    ...(people ? [{ head: "Set", cell: (m: Member) => <span className="dim nowrap">{SOURCES[m.source]}</span>, minor: true }] : []),
    { head: "Since", align: "right", cell: (m) => <Ago at={m.created_at} />, minor: true },
    ...(admin ? [{ head: <span className="sr-only">Actions</span>, align: "right" as const, cell: (m: Member) => <Button size="compact-xs" variant="subtle" color="red" aria-label={`${people ? "Remove" : "Delete"} ${m.name}`} onClick={remove(m)}>{people ? "Remove" : "Delete"}</Button> }] : []),
  ];
  const create = inProject("ratchet service-accounts create NAME --role viewer", project);
  return (
    <Panel title={people ? "Members" : "Service accounts"} flush note={people ? undefined : "for programs; they outlive whoever made them"}>
      {act.error && <div className="pad"><Problem error={act.error} /></div>}
      <Loaded query={members} lines={3}>
        {(items) => {
          const rows = items.filter((m) => m.kind === kind);
          if (rows.length > 0) return <Table rows={rows} columns={columns} rowKey={(m) => m.id} label={people ? "Members" : "Service accounts"} />;
          return people ? (
            <p className="dim pad">Nobody but the administrators of the platform.</p>
          ) : (
            <Empty icon={<KeyIcon size={22} />} title="No service accounts" command={create}>An account for a program, such as CI or a shop: its tokens go on when whoever made them leaves.</Empty>
          );
        }}
      </Loaded>
      {admin && people && <Add />}
      {admin && !people && members.data?.some((m) => m.kind === kind) && <div className="pad panel-foot"><Code text={create} /></div>}
    </Panel>
  );
}
