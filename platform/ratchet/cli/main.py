"""The root of the command line: every command, listed once."""

from __future__ import annotations

from ratchet.cli import (
    abtests,
    admin,
    apply,
    completion,
    custom,
    documents,
    endpoints,
    jobs,
    log,
    models,
    monitors,
    pipelines,
    queue,
    stack,
    train,
    webhooks,
)
from ratchet.cli.app import App, RootGroup

app = App(
    "Ratchet trains, tracks, deploys, compares, watches and retrains models.\n\n"
    "$ ratchet up\n"
    "$ ratchet train --data sklearn://breast_cancer --model cancer --follow\n"
    "$ ratchet endpoints create cancer -v a=cancer:1 --wait\n\n"
    "Exit status: 0 well, 1 failure, 2 usage, 3 not allowed, 4 not found, 5 conflict, 6 unreachable, 7 work failed,"
    " 130 interrupted.",
    name="ratchet",
    cls=RootGroup,
)

stack.add_to(app)
train.add_to(app)
log.add_to(app)
custom.add_to(app)
apply.add_to(app)
documents.add_to(app)

for _name, _group in (
    ("jobs", jobs.app),
    ("models", models.app),
    ("endpoints", endpoints.app),
    ("abtests", abtests.app),
    ("monitors", monitors.app),
    ("pipelines", pipelines.app),
    ("webhooks", webhooks.app),
):
    app.add_typer(_group, name=_name, rich_help_panel="Resources")

queue.add_to(app)
stack.add_info_to(app)
admin.add_to(app)
completion.add_to(app)


def run() -> None:
    app(prog_name="ratchet")


if __name__ == "__main__":
    run()
