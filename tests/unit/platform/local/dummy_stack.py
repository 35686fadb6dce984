"""A stack of plain processes, run as a program in place of `ratchet.local.supervisor`.

web       answers HTTP
fleeting  ends at once and leaves a daemon in a session of its own, as `ray start` does
stubborn  ignores SIGTERM, has overwritten its environment's mark in a child
broken    only when HOME/broken exists: exits with 3 after a line of complaint
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ratchet.local import supervisor
from ratchet.local.layout import Layout
from ratchet.local.ports import load
from ratchet.local.services import Probe, Service

DAEMON = """
import os, subprocess, sys
code = "import time  # dummy-daemon\\nwhile True: time.sleep(1)"
subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
"""
STUBBORN = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
bare = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
code = "import signal as s, time  # dummy-unmarked\\ns.signal(s.SIGTERM, s.SIG_IGN)\\nwhile True: time.sleep(1)"
subprocess.Popen([sys.executable, "-c", code], env=bare, start_new_session=True)
print("stubborn is here", flush=True)
while True:
    time.sleep(1)
"""
BROKEN = """
import sys
print("no such luck")
sys.exit(3)
"""


def plan(layout: Layout) -> tuple[Service, ...]:
    ports = load(layout.ports)
    assert ports is not None
    python = sys.executable
    web = Service(
        name="web",
        title="Web",
        command=(
            python,
            "-m",
            "http.server",
            str(ports.api),
            "--bind",
            "127.0.0.1",
            "--directory",
            str(layout.storage),
        ),
        probe=Probe(f"http://127.0.0.1:{ports.api}/"),
        after=("fleeting",),
        url=f"http://127.0.0.1:{ports.api}",
    )
    fleeting = Service("fleeting", "Fleeting", (python, "-c", DAEMON), daemons=("# dummy-daemon",))
    stubborn = Service("stubborn", "Stubborn", (python, "-c", STUBBORN), says="stubborn is here", nice=5)
    broken = Service("broken", "Broken", (python, "-c", BROKEN), says="never")
    extra = (broken,) if (layout.home / "broken").exists() else ()
    return (web, fleeting, stubborn, *extra)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--lifeline", type=int)
    args = parser.parse_args()
    layout = Layout.at(args.home)
    supervisor.GRACE_S = 0.5  # enough for those that do end
    supervisor.supervise(layout, plan(layout), {"api": "http://127.0.0.1"}, args.lifeline)


if __name__ == "__main__":
    main()
