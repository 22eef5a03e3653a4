"""A score table on disk: Parquet, one row a question, the table's name in the file's metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from kit.files import written_aside
from kit.types import KitError

NAME = "kit.score_table"


def write_scores(
    path: str | Path, name: str, question_ids: np.ndarray, passage_ids: np.ndarray, values: np.ndarray
) -> None:
    """Write the parts of a table: ids (q,), passage ids and values (q, k)."""
    columns = {
        "question_id": pyarrow.array(question_ids.tolist(), pyarrow.string()),
        "passage_ids": pyarrow.array(passage_ids.tolist(), pyarrow.list_(pyarrow.string())),
        "values": pyarrow.array(list(values), pyarrow.list_(pyarrow.float32())),
    }
    table = pyarrow.table(columns).replace_schema_metadata({NAME: name})
    with written_aside(path) as aside:
        pyarrow.parquet.write_table(table, aside, compression="zstd")


def read_scores(path: str | Path) -> tuple[str, Any, Any, Any]:
    """Name, question ids, passage ids and values of a file that `write_scores` wrote. Raises `KitError` for another."""
    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise KitError(str(path), "a score table saved by the kit", f"a file that does not read ({error})") from None
    name = (table.schema.metadata or {}).get(NAME.encode())
    if name is None:
        raise KitError(str(path), "a score table saved by the kit", f"Parquet columns {table.column_names}")
    columns = (table.column(key).to_pylist() for key in ("question_id", "passage_ids", "values"))
    return name.decode(), *columns
