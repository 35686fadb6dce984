"""Try a model in a process of its own: `python -m ratchet_pipelines.serving.tryout <uri> <folder> <verdict file>`.

Model files are code. What they do wrong (crash, hang, use all memory) must happen here and not in a replica that has
traffic. The verdict is a file: a model may print what it likes.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

from ratchet_pipelines.serving.models import LoadedModel, ModelError, ModelUnavailableError, download


def attempt(uri: str, folder: Path) -> dict[str, Any]:
    """Fetch, load and ask the model once; `state` is `ok`, `failed` or `unavailable`."""
    try:
        model_folder = download(uri, folder / "files")
        LoadedModel(model_folder).try_example()
    except ModelUnavailableError as error:
        return {"state": "unavailable", "message": str(error)}
    except ModelError as error:
        return {"state": "failed", "message": f"{uri}: {error}"}
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        text = f"{type(error).__name__}: {error}"[:1000]
        return {"state": "failed", "message": f"{uri} fails on its own input example: {text} ({where})"}
    return {"state": "ok", "model": str(model_folder)}


def main() -> None:
    uri, folder, verdict = sys.argv[1:4]
    result = attempt(uri, Path(folder))
    Path(verdict).write_text(json.dumps(result))
    sys.exit(0 if result["state"] == "ok" else 1)


if __name__ == "__main__":
    main()
