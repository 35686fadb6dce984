"""Reading a table by its URI: scikit-learn's sets, and Parquet or CSV wherever fsspec reaches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import fsspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ratchet_pipelines.catalog import suggestion
from ratchet_pipelines.errors import DataError, UserError

SKLEARN_SETS = ["breast_cancer", "diabetes", "digits", "iris", "wine"]
SCHEMES = ["abfs", "file", "gs", "s3", "sklearn"]
PARQUET = (".parquet", ".pq")
CSV = (".csv", ".csv.gz", ".csv.zst")


def read(uri: str) -> pd.DataFrame:
    """The whole table at `uri`.

    Raises:
        UserError: The URI's scheme or set is not known, or its driver isn't installed on the cluster.
        DataError: There is nothing at the URI, it can't be read, or it is neither Parquet nor CSV.
    """
    if _scheme(uri) == "sklearn":
        parts = urlsplit(uri)
        return _sklearn_set(parts.netloc or parts.path.strip("/"))
    return _files(uri)


def _scheme(uri: str) -> str:
    scheme = urlsplit(uri).scheme
    if scheme not in SCHEMES:
        raise UserError(
            f"The data's URI {uri!r} begins with none of {', '.join(f'{s}://' for s in SCHEMES)}."
            f"{suggestion(scheme or uri, SCHEMES)} A file of the cluster's machines is file:///path."
        )
    return scheme


def _sklearn_set(name: str) -> pd.DataFrame:
    if name not in SKLEARN_SETS:
        raise UserError(
            f"There is no set sklearn://{name}.{suggestion(name, SKLEARN_SETS)} Sets: {', '.join(SKLEARN_SETS)}."
        )
    from sklearn import datasets

    return getattr(datasets, f"load_{name}")(as_frame=True).frame


def parquet_files(uri: str) -> list[str] | None:
    """The paths of the Parquet files at `uri`, sorted; None when it is anything else that `read` can read.

    Raises as `read` does.
    """
    if _scheme(uri) == "sklearn":
        return None
    with _explained(uri):
        filesystem, root = fsspec.core.url_to_fs(uri)
        paths = _table_files(filesystem, root, uri)
        return paths if all(path.endswith(PARQUET) for path in paths) else None


@dataclass(frozen=True)
class Footer:
    """What a Parquet file says of itself."""

    path: str
    bytes: int
    rows: int
    schema: pa.Schema


def footer(uri: str, path: str) -> Footer:
    """Of one of the files at `uri`. Raises as `read` does."""
    with _explained(uri):
        filesystem = fsspec.core.url_to_fs(uri)[0]
        with filesystem.open(path, "rb") as file:
            found = pq.ParquetFile(file)
            schema = found.schema_arrow.remove_metadata()
            return Footer(path, int(filesystem.size(path)), found.metadata.num_rows, schema)


def _files(uri: str) -> pd.DataFrame:
    with _explained(uri):
        filesystem, root = fsspec.core.url_to_fs(uri)
        paths = _table_files(filesystem, root, uri)
        return pd.concat([_read_file(filesystem, path) for path in paths], ignore_index=True)


@contextmanager
def _explained(uri: str) -> Iterator[None]:
    """What goes wrong with files, said to whoever gave their address."""
    try:
        yield
    except ImportError as error:
        raise UserError(f"{uri} can't be read: the cluster lacks a package for it ({error}).") from error
    except FileNotFoundError as error:
        raise DataError(f"There is nothing at {uri}. Check the address, and that every node sees it.") from error
    except PermissionError as error:
        raise DataError(f"The cluster may not read {uri}: {error}.") from error
    except (OSError, ValueError) as error:  # pandas' and pyarrow's parsers raise subclasses of ValueError
        raise DataError(f"{uri} can't be read as a table: {error}") from error


def _table_files(filesystem: Any, root: str, uri: str) -> list[str]:
    if not filesystem.isdir(root):
        return [root]
    # A leading "_" or "." marks what writers leave beside the data (_SUCCESS, .crc).
    names = [path for path in filesystem.find(root) if not path.rsplit("/", 1)[-1].startswith(("_", "."))]
    paths = sorted(path for path in names if path.endswith(PARQUET + CSV))
    if not paths:
        raise DataError(f"The folder {uri} holds no file that ends in {', '.join(PARQUET + CSV)}.")
    if any(path.endswith(PARQUET) for path in paths) and any(path.endswith(CSV) for path in paths):
        raise DataError(f"The folder {uri} holds both Parquet and CSV files: keep one kind, or name one file.")
    return paths


def _read_file(filesystem: Any, path: str) -> pd.DataFrame:
    if path.endswith(PARQUET):
        with filesystem.open(path, "rb") as file:
            return pd.read_parquet(file)
    if path.endswith(CSV):
        with filesystem.open(path, "rb", compression="infer") as file:
            return pd.read_csv(file, low_memory=False)
    raise DataError(f"{path} is neither Parquet ({', '.join(PARQUET)}) nor CSV ({', '.join(CSV)}).")
