"""The embedded stack that `ratchet up` starts on one machine: Ray, MLflow, SQLite, API and reconciler.

    services.py     every process, listed once: commands, environments, readiness
    control.py      start, find, heal, stop
    supervisor.py   the processes that own all others
    runner.py       one service: start, probe, watch, restart
    processes.py    whose a process is, what it weighs, how it is ended
    layout.py       the files in RATCHET_HOME
    ports.py        the ports, kept over restarts
    statefile.py    state.json
    report.py  weight.py  checks.py     what `ratchet status` and `ratchet doctor` say

Nothing here imports more than the standard library.
"""

from ratchet.local.checks import Check, doctor
from ratchet.local.control import StackError, down, up
from ratchet.local.report import Status, status
from ratchet.local.statefile import ServiceState, State
from ratchet.local.statefile import read as state
from ratchet.local.weight import PartMemory, memory

__all__ = [
    "Check",
    "PartMemory",
    "ServiceState",
    "StackError",
    "State",
    "Status",
    "doctor",
    "down",
    "memory",
    "state",
    "status",
    "up",
]
