"""`python -m ratchet.openapi`: the API's description, from which the dashboard's types are generated."""

from __future__ import annotations

import json
import sys

from ratchet.app import create_app
from ratchet.settings import Settings


def main() -> None:
    schema = create_app(Settings(database_url="sqlite://")).openapi()
    sys.stdout.write(json.dumps(schema, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
