"""Write a revision that turns the newest schema into the tables as they are: `make migration NAME=...`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

from ratchet import db


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'ratchet.db'}"
        config = Config()
        config.set_main_option("script_location", str(db.MIGRATIONS))
        config.attributes["url"] = url
        command.upgrade(config, "head")
        number = len(list((db.MIGRATIONS / "versions").glob("[0-9]*.py"))) + 1
        command.revision(config, message=sys.argv[1], autogenerate=True, rev_id=f"{number:04d}")


if __name__ == "__main__":
    main()
