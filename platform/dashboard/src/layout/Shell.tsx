import { Drawer, Menu, Modal, UnstyledButton, useMantineColorScheme } from "@mantine/core";
import { useDisclosure, useHotkeys } from "@mantine/hooks";
import { spotlight } from "@mantine/spotlight";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import { lazy, Suspense, useEffect } from "react";
import { infoQuery, meQuery, signOut } from "../api/queries";
import { ExitIcon, LinkIcon, Logo, MenuIcon, MoonIcon, SearchIcon, SunIcon, SystemIcon } from "../shared/icons";
import { useProject } from "../shared/project";
import { Nav } from "./Nav";
import { walkRows } from "./rows";

const Finder = lazy(() => import("./Finder"));

const SECTIONS: Record<string, string> = {
  jobs: "Jobs", queue: "Queue", models: "Models", endpoints: "Endpoints", abtests: "A/B tests", monitors: "Monitors",
  pipelines: "Pipelines", "pipeline-runs": "Pipelines", events: "Events", access: "Access",
};

function Crumbs() {
  const parts = useLocation().pathname.split("/").filter(Boolean).map(decodeURIComponent);
  const section = parts[0] ?? "";
  const title = SECTIONS[section] ?? "Overview";
  useEffect(() => {
    document.title = `${parts[1] ? `${parts[1]} · ` : ""}${title} · Ratchet`;
  });
  return (
    <nav className="crumbs" aria-label="Breadcrumb">
      {parts[1] ? (
        <>
          <Link to={(section === "pipeline-runs" ? "/pipelines" : `/${section}`) as "/jobs"}>{title}</Link>
          <span aria-hidden="true">/</span>
          <b>{parts[1] === "new" ? "New" : parts[1]}</b>
        </>
      ) : (
        <b>{title}</b>
      )}
    </nav>
  );
}

function SchemeMenu() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const choices = [["light", "Light", SunIcon], ["dark", "Dark", MoonIcon], ["auto", "System", SystemIcon]] as const;
  const Current = choices.find(([value]) => value === colorScheme)?.[2] ?? SystemIcon;
  return (
    <Menu position="bottom-end" width={150}>
      <Menu.Target>
        <UnstyledButton className="tool" aria-label="Colour scheme"><Current size={17} /></UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        {choices.map(([value, label, Icon]) => (
          <Menu.Item key={value} leftSection={<Icon size={15} />} onClick={() => setColorScheme(value)} aria-current={value === colorScheme}>
            {label}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

function ProjectMenu() {
  const project = useProject();
  const navigate = useNavigate();
  const me = useQuery(meQuery);
  const all = [...new Set([project, ...(me.data?.projects ?? [])])].filter((name) => name !== "*");
  return (
    <Menu position="bottom-end" width={200}>
      <Menu.Target>
        <UnstyledButton className="finder" style={{ minWidth: 0 }} aria-label={`Project ${project}`}>
          <b>{project}</b> ▾
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>Project</Menu.Label>
        {all.map((name) => (
          <Menu.Item key={name} aria-current={name === project} onClick={() => void navigate({ to: "/", search: { project: name === "default" ? undefined : name } })}>
            {name}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

function Foot() {
  const info = useQuery(infoQuery);
  const me = useQuery(meQuery);
  const client = useQueryClient();
  const navigate = useNavigate();
  const leave = async () => {
    await signOut();
    client.clear();
    void navigate({ to: "/sign-in" });
  };
  return (
    <div className="side-foot">
      <a href="/mlflow/" target="_blank" rel="noreferrer"><LinkIcon size={13} /> MLflow</a>
      <a href="/docs" target="_blank" rel="noreferrer"><LinkIcon size={13} /> API reference</a>
      {me.data && (
        <div className="row" style={{ gap: 6 }}>
          <span>{me.data.actor}</span>
          <UnstyledButton className="tool" style={{ marginLeft: "auto" }} onClick={() => void leave()} aria-label="Sign out"><ExitIcon size={15} /></UnstyledButton>
        </div>
      )}
      {info.data && <span>Ratchet {info.data.version}</span>}
    </div>
  );
}

const SHORTCUTS: [string, string][] = [
  ["Ctrl K", "Find a page, a job, a model"], ["J / K", "Next, previous row"], ["Enter", "Open the row"],
  ["C", "New job"], ["?", "This sheet"],
];

export function Shell() {
  const [menu, menuIs] = useDisclosure(false);
  const [sheet, sheetIs] = useDisclosure(false);
  const navigate = useNavigate();
  const path = useLocation().pathname;
  useEffect(() => menuIs.close(), [path]);
  useHotkeys([
    ["mod+K", () => spotlight.open()],
    ["shift+?", sheetIs.open],
    ["?", sheetIs.open],
    ["c", () => void navigate({ to: "/jobs/new" })],
    ["j", () => walkRows(1)],
    ["k", () => walkRows(-1)],
  ]);
  const brand = <Link to="/" className="side-brand"><Logo /> Ratchet</Link>;
  return (
    <div className="frame">
      <a href="#content" className="skip">Skip to the content</a>
      <aside className="side" aria-label="Main">
        {brand}
        <Nav />
        <Foot />
      </aside>
      <Drawer opened={menu} onClose={menuIs.close} size={250} title={brand} closeButtonProps={{ "aria-label": "Close" }}>
        <div className="side" style={{ position: "static", height: "auto", border: 0, padding: 0 }}>
          <Nav />
          <Foot />
        </div>
      </Drawer>
      <div style={{ minWidth: 0 }}>
        <header className="top">
          <UnstyledButton className="tool burger" onClick={menuIs.open} aria-label="Menu"><MenuIcon size={18} /></UnstyledButton>
          <Crumbs />
          <UnstyledButton className="finder" onClick={() => spotlight.open()} aria-label="Find">
            <SearchIcon size={14} /> <span>Find</span> <kbd>Ctrl K</kbd>
          </UnstyledButton>
          <ProjectMenu />
          <SchemeMenu />
        </header>
        <main id="content" tabIndex={-1}>
          <Outlet />
        </main>
      </div>
      <Suspense fallback={null}><Finder /></Suspense>
      <Modal opened={sheet} onClose={sheetIs.close} title="Keyboard" size="sm" closeButtonProps={{ "aria-label": "Close" }}>
        <dl className="keys">
          {SHORTCUTS.map(([key, what]) => (
            <div key={key} className="row" style={{ padding: "5px 0" }}>
              <dt style={{ width: 90 }}><kbd className="tag">{key}</kbd></dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
      </Modal>
    </div>
  );
}
