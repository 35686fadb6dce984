"""The HTML report of a drift check, by Evidently."""

from __future__ import annotations

from html import escape
from pathlib import Path

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.legacy.calculations.stattests.registry import StatTest, register_stattest
from evidently.legacy.core import ColumnType
from evidently.metrics import DatasetMissingValueCount, RowCount, ValueDrift

from ratchet_pipelines.monitoring.comparison import Comparison
from ratchet_pipelines.monitoring.pvalues import ColumnResult, Test, p_value

_METHODS: dict[Test, StatTest] = {
    "ks": StatTest("ratchet_ks", "Kolmogorov-Smirnov p-value", [ColumnType.Numerical]),
    "chisquare": StatTest("ratchet_chisquare", "chi-square of homogeneity p-value", [ColumnType.Categorical]),
}


def _register(test: Test, method: StatTest) -> None:
    """Make Evidently use the same test as the verdict does, so that report and verdict can't disagree."""

    def measure(reference: pd.Series, current: pd.Series, kind: ColumnType, threshold: float) -> tuple[float, bool]:
        found = p_value(test, reference, current)
        return found, found <= threshold

    register_stattest(method, measure)


for _test, _method in _METHODS.items():
    _register(_test, _method)


def write(comparison: Comparison, results: list[ColumnResult], threshold: float, path: Path) -> None:
    """A page with the distributions of each column that has values on both sides, at the check's own threshold."""
    shown = [result for result in results if result.p_value is not None]
    numbers = [result.column for result in shown if result.test == "ks"]
    categories = [result.column for result in shown if result.test == "chisquare"]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=categories)
    columns = numbers + categories
    reference = Dataset.from_pandas(comparison.reference[columns], data_definition=definition)
    current = Dataset.from_pandas(comparison.current[columns], data_definition=definition)
    metrics = [ValueDrift(column=r.column, method=_METHODS[r.test].name, threshold=threshold) for r in shown]
    report = Report([RowCount(), DatasetMissingValueCount(), *metrics])
    report.run(current, reference).save_html(str(path))


def write_note(text: str, path: Path) -> None:
    """A page for a check that has nothing to show."""
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Drift check</title>'
    style = "font: 16px system-ui; max-width: 40em; margin: 4em auto"
    path.write_text(f'{head}<body style="{style}"><h1>Drift check</h1><p>{escape(text)}</p>')
