"""GeoPackage 1.3 with a run's layers, styled for QGIS; equal runs, equal bytes.

`detections`, `windows`, `run`, `raw`, and `failures` where windows could not be read.
"""

from __future__ import annotations

import sqlite3
import warnings
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from geopdn.errors import OutputError
from geopdn.output.fields import FIELDS, PICTURE, REVIEW, REVIEWS
from geopdn.output.frames import (
    BATCH,
    detection_batches,
    failed_windows,
    failure_frame,
    n_raw,
    raw_batches,
    run_frame,
    window_batches,
)
from geopdn.output.styles import Shown, layer_styles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from geopandas import GeoDataFrame

    from geopdn.detections import RunResult

# Times of change inside the file are not the clock's: equal runs give equal bytes.
FIXED_TIME = "2000-01-01T00:00:00.000Z"

NO_SYSTEM = "Undefined "
"""How GeoPackage's names of systems begin for layers that have none (`Undefined Cartesian SRS`)."""

_UNDEFINED_CARTESIAN = -1  # srs_id that the standard reserves for pixel space

_STYLE_TABLE = """
CREATE TABLE layer_styles (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256),
  styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT, owner TEXT(30),
  ui TEXT(30), update_time DATETIME)
"""

_SCHEMA_TABLES = """
CREATE TABLE gpkg_data_columns (
  table_name TEXT NOT NULL, column_name TEXT NOT NULL, name TEXT, title TEXT, description TEXT, mime_type TEXT,
  constraint_name TEXT, CONSTRAINT pk_gdc PRIMARY KEY (table_name, column_name),
  CONSTRAINT gdc_tn UNIQUE (table_name, name));
CREATE TABLE gpkg_data_column_constraints (
  constraint_name TEXT NOT NULL, constraint_type TEXT NOT NULL, value TEXT, min NUMERIC, min_is_inclusive BOOLEAN,
  max NUMERIC, max_is_inclusive BOOLEAN, description TEXT,
  CONSTRAINT gdcc_ntv UNIQUE (constraint_name, constraint_type, value));
"""

REVIEW_CONSTRAINT = "geopdn_review"
"""Name of the list of values of the column `review`."""

_SCHEMA_URL = "http://www.geopackage.org/spec121/#extension_schema"

_OF_TRIGGERS = ("ST_IsEmpty", "ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY")


def write_geopackage(result: RunResult, path: Path, *, batch: int = BATCH) -> None:
    """Write the run to a new file at `path`, in batches of rows; call it inside `replacing`.

    Raises:
        OutputError: detections that cannot be polygons, or rows that the driver lost.
    """
    with fixed_clock():
        _write_layer(path, "detections", detection_batches(result, batch=batch))
        _write_layer(path, "windows", window_batches(result, batch=batch))
        _write_layer(path, "run", [run_frame(result)])
        _write_layer(path, "raw", raw_batches(result, batch=batch))
        n_failed = len(failed_windows(result))
        if n_failed:
            _write_layer(path, "failures", [failure_frame(result)])
    expected = {"detections": len(result.detections), "windows": len(result.windows), "run": 1}
    if result.raw is not None:
        expected["raw"] = n_raw(result)
    if n_failed:
        expected["failures"] = n_failed
    with closing(sqlite3.connect(path)) as connection, connection:
        for layer, rows in expected.items():
            (count,) = connection.execute(f'SELECT count(*) FROM "{layer}"').fetchone()  # noqa: S608 (a constant)
            if count != rows:
                msg = f"{path}: layer {layer!r} has {count} rows where {rows} were written; check the free space"
                raise OutputError(msg)
        connection.execute(f"ALTER TABLE detections ADD COLUMN {REVIEW} TEXT")
        _add_pictures(connection, result)
        _add_column_names(connection)
        _add_styles(connection, result)


def _write_layer(path: Path, layer: str, batches: Iterable[GeoDataFrame]) -> None:
    """Append the batches, in order, to one layer; the first creates it (and the file, if there is none)."""
    import pyogrio

    for number, batch in enumerate(batches):
        options = {} if number else {"VERSION": "1.3"}
        if not number and batch.crs is None:
            options["SRID"] = str(_UNDEFINED_CARTESIAN)
        with warnings.catch_warnings():
            if batch.crs is None:  # pixel space is asked for knowingly
                warnings.filterwarnings("ignore", message="'crs' was not provided", category=UserWarning)
            pyogrio.write_dataframe(
                batch,
                path,
                layer=layer,
                driver="GPKG",
                geometry_type="Polygon",  # an empty layer has a type, too
                append=number > 0,
                **options,
            )


@contextmanager
def fixed_clock() -> Iterator[None]:
    """GDAL dates its tables with `FIXED_TIME`; the setting is put back afterwards."""
    import pyogrio

    before = pyogrio.get_gdal_config_option("OGR_CURRENT_DATE")
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": FIXED_TIME})
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": before})


def _add_pictures(connection: sqlite3.Connection, result: RunResult) -> None:
    """Add the column of pictures to the detections; those without one are null."""
    if not result.pictures:
        return
    name_triggers(connection)
    connection.execute(f"ALTER TABLE detections ADD COLUMN {PICTURE} BLOB")
    connection.executemany(
        f"UPDATE detections SET {PICTURE} = ? WHERE fid = ?",  # noqa: S608 (a constant)
        ((picture, number) for number, picture in enumerate(result.pictures, start=1) if picture),
    )


def name_triggers(connection: sqlite3.Connection) -> None:
    """Let SQLite know the functions that GDAL's triggers name: other columns than the geometry can then be changed.

    The triggers keep the spatial index; as long as no geometry changes they never come to call these.
    """
    for name in _OF_TRIGGERS:
        connection.create_function(name, 1, lambda _: None)


def _add_column_names(connection: sqlite3.Connection) -> None:
    """Add what the columns are called and what they mean (GeoPackage's schema extension)."""
    connection.executescript(_SCHEMA_TABLES)
    connection.executemany(
        "INSERT INTO gpkg_extensions VALUES (?, NULL, 'gpkg_schema', ?, 'read-write')",
        ((table, _SCHEMA_URL) for table in ("gpkg_data_columns", "gpkg_data_column_constraints")),
    )
    connection.executemany(
        "INSERT INTO gpkg_data_column_constraints VALUES (?, 'enum', ?, NULL, NULL, NULL, NULL, ?)",
        ((REVIEW_CONSTRAINT, value, meaning) for value, meaning in REVIEWS.items()),
    )
    for layer, fields in FIELDS.items():
        present = {row[1] for row in connection.execute(f'PRAGMA table_info("{layer}")')}
        connection.executemany(
            "INSERT INTO gpkg_data_columns VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    *(layer, column, field.alias, field.alias, field.meaning, field.mime_type or None),
                    REVIEW_CONSTRAINT if column == REVIEW else None,
                )
                for column, field in fields.items()
                if column in present
            ),
        )


def _add_styles(connection: sqlite3.Connection, result: RunResult) -> None:
    """Add the table from which QGIS takes the styles of each layer; the first is its default."""
    connection.execute(_STYLE_TABLE)
    for layer, styles in layer_styles(Shown.of(result)).items():
        connection.executemany(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName,"
            " styleQML, styleSLD, useAsDefault, description, owner, ui, update_time)"
            " VALUES ('', '', ?, 'geom', ?, ?, '', ?, ?, '', NULL, ?)",
            (
                (layer, style.name, style.qml(), int(number == 0), f"geopdn: {layer} {style.name}", FIXED_TIME)
                for number, style in enumerate(styles)
            ),
        )
    connection.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, last_change, srs_id)"
        " VALUES ('layer_styles', 'attributes', 'layer_styles', '', ?, 0)",
        (FIXED_TIME,),
    )
