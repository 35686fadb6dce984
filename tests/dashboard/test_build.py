"""When the dashboard is built, and that no package leaves without it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def hatch_build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hatch_build"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def dashboard(hatch_build: ModuleType, tmp_path: Path) -> Any:
    """A checkout whose dashboard was just built."""
    made = hatch_build.Dashboard(tmp_path)
    (made.source / "src").mkdir(parents=True)
    for name in ("package.json", "package-lock.json", "index.html", "vite.config.mjs", "tsconfig.json", "src/main.tsx"):
        (made.source / name).write_text(name)
    (made.static / "assets").mkdir(parents=True)
    (made.static / "index.html").write_text('<script src="/assets/a.js"></script>')
    (made.static / "assets" / "a.js").write_text("1")
    made.stamp.write_text(made.fingerprint())
    return made


def test_what_is_built_is_left_alone(dashboard: Any) -> None:
    assert not dashboard.is_stale()
    assert not dashboard.build_if_stale()
    dashboard.check()


@pytest.mark.parametrize("name", ["src/main.tsx", "src/new.ts", "package-lock.json", "index.html"])
def test_a_changed_source_makes_it_stale(dashboard: Any, name: str) -> None:
    (dashboard.source / name).write_text("changed")
    assert dashboard.is_stale()


def test_what_came_without_sources_is_taken_as_it_is(dashboard: Any) -> None:
    (dashboard.source / "src" / "main.tsx").unlink()
    (dashboard.source / "src").rmdir()
    assert not dashboard.is_stale()


def test_neither_built_nor_to_be_built_is_an_error(dashboard: Any) -> None:
    (dashboard.static / "index.html").unlink()
    (dashboard.source / "package-lock.json").unlink()
    with pytest.raises(RuntimeError, match="is not built"):
        dashboard.build_if_stale()


def test_an_asset_that_is_not_there_is_an_error(dashboard: Any) -> None:
    (dashboard.static / "assets" / "a.js").unlink()
    with pytest.raises(RuntimeError, match=r"assets/a\.js"):
        dashboard.check()
