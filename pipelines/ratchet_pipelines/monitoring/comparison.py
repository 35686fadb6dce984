"""Reference and current rows side by side: the same columns, of the same types."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ratchet_pipelines.errors import DataError
from ratchet_pipelines.monitoring.pvalues import ColumnResult, mean, missing_p_value, p_value, test_for
from ratchet_pipelines.serving.log import FEATURE

PREDICTION = "prediction"


@dataclass(frozen=True)
class Comparison:
    """Two tables with the same columns: numbers as float64, everything else as strings."""

    reference: pd.DataFrame
    current: pd.DataFrame

    def results(self) -> list[ColumnResult]:
        return [_compare(str(name), self.reference[name], self.current[name]) for name in self.reference.columns]


def align(profile: pd.DataFrame, log: pd.DataFrame) -> Comparison:
    """The columns that a reference profile and a window of the log share: the features and the prediction.

    A prediction that is a class is compared as a category, whatever type its label has. Raises `DataError` when a
    feature that was trained on is not in the log, or the other way about.
    """
    current = log.rename(columns={name: name.removeprefix(FEATURE) for name in log.columns if name.startswith(FEATURE)})
    # The log's files hold all variants: a column with no value here, that the model does not know, is another's.
    features = [
        name
        for name in log.columns
        if name.startswith(FEATURE) and (name.removeprefix(FEATURE) in profile.columns or log[name].notna().any())
    ]
    names = [name.removeprefix(FEATURE) for name in features]
    unknown = [name for name in names if name not in profile.columns]
    if unknown:
        raise DataError(f"The reference profile lacks the columns {', '.join(map(repr, unknown[:5]))} of the log.")
    # A feature named as the prediction itself would hide it; the prediction is the model's to name.
    columns = [name for name in names if name != PREDICTION] + [PREDICTION]
    if PREDICTION not in profile.columns:
        raise DataError("The reference profile has no column 'prediction'.")
    classes = not pd.api.types.is_float_dtype(profile[PREDICTION])
    pairs = {name: _pair(profile[name], current[name], classes and name == PREDICTION) for name in columns}
    return Comparison(
        pd.DataFrame({name: reference for name, (reference, _) in pairs.items()}),
        pd.DataFrame({name: now for name, (_, now) in pairs.items()}),
    )


def _pair(reference: pd.Series, current: pd.Series, category: bool) -> tuple[pd.Series, pd.Series]:
    both = (reference.reset_index(drop=True), current.reset_index(drop=True))
    if category or not _is_number(reference):
        return _text(both[0]), _text(both[1])
    return _number(both[0]), _number(both[1])


def _is_number(values: pd.Series) -> bool:
    types = pd.api.types
    return (types.is_numeric_dtype(values) and not types.is_bool_dtype(values)) or types.is_datetime64_any_dtype(values)


def _number(values: pd.Series) -> pd.Series:
    """As float64; instants as seconds since the epoch. Infinity counts as missing."""
    if pd.api.types.is_datetime64_any_dtype(values):
        instants = pd.to_datetime(values, utc=True)
        return (instants - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)
    return pd.to_numeric(values, errors="coerce").astype("float64").replace([np.inf, -np.inf], np.nan)


def _text(values: pd.Series) -> pd.Series:
    text = values.astype("object").map(str, na_action="ignore")
    return text.where(values.notna(), None)


def _compare(name: str, reference: pd.Series, current: pd.Series) -> ColumnResult:
    test = test_for(reference, current)
    present = reference.dropna(), current.dropna()
    comparable = len(present[0]) > 0 and len(present[1]) > 0
    return ColumnResult(
        column=name,
        test=test,
        p_value=p_value(test, *present) if comparable else None,
        missing_p_value=missing_p_value(reference, current),
        reference_mean=mean(reference),
        current_mean=mean(current),
        missing_reference=float(reference.isna().mean()),
        missing_current=float(current.isna().mean()),
    )
