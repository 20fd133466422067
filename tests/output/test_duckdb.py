"""GeoParquet as DuckDB reads it: a second reader that shares no code with GDAL and geopandas."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from geopdn.output.frames import detection_batches
from geopdn.output.write import write_result

duckdb = pytest.importorskip("duckdb")
pytest.importorskip("pyarrow")


@pytest.mark.parametrize("n", [0, 7])
def test_duckdb_reads_what_was_written(make_result, tmp_path, n):
    result = make_result(n)
    path = write_result(result, tmp_path / "a.parquet")
    frame = next(detection_batches(result))
    rows = duckdb.sql("SELECT * FROM read_parquet(?)", params=[str(path)])
    assert set(rows.columns) == set(frame.columns)
    back = duckdb.sql(
        "SELECT id, label, score, length_m, geometry FROM read_parquet(?) ORDER BY id", params=[str(path)]
    )
    columns = back.fetchnumpy()
    assert columns["id"].tolist() == frame["id"].tolist()
    assert columns["label"].tolist() == frame["label"].tolist()
    np.testing.assert_array_equal(np.asarray(columns["score"], float), frame["score"])
    np.testing.assert_array_equal(np.asarray(columns["length_m"], float), frame["length_m"])
    polygons = shapely.from_wkb([bytes(value) for value in columns["geometry"]])
    assert shapely.equals_exact(polygons, frame.geometry.to_numpy()).all()
