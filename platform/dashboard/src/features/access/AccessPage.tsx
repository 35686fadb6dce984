import { useQuery } from "@tanstack/react-query";
import { meQuery } from "../../api/queries";
import { Loaded, PageHead } from "../../shared/parts";
import { useProject } from "../../shared/project";
import { Limits } from "./Limits";
import { Members } from "./Members";
import { Tokens } from "./Tokens";
import { Webhooks } from "./Webhooks";
import "./access.css";

/** Who gets into a project, with what, and how much of the cluster it may hold. What one may not do is not shown. */
export function AccessPage() {
  const project = useProject();
  const query = useQuery(meQuery);
  return (
    <Loaded query={query} lines={8}>
      {(me) => {
        const role = me.roles[project];
        const editor = role === "editor" || role === "admin";
        return (
          <div className="page">
            <PageHead
              title="Access"
              sub={<span>Who may do what in {project}. You are {me.actor}{role && <>, {role}</>}{me.platform_admin && ", administrator of the platform"}.</span>}
            />
            <div className="cols">
              <div className="w7"><Members kind="user" me={me} /></div>
              <div className="w5 stack">
                <Limits key={project} admin={me.platform_admin} />
                <Members kind="service_account" me={me} />
              </div>
            </div>
            {editor && <Tokens key={project} me={me} />}
            <Tokens me={me} mine />
            {editor && <Webhooks admin={role === "admin"} />}
          </div>
        );
      }}
    </Loaded>
  );
}
