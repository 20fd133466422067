"""`geopdn info`: what a scene is, which models fit, what a run would cost."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geopdn.api.scenes import Reading, fitting_models, misfit
from geopdn.cli import options
from geopdn.cli.cost import Cost, decode_seconds, predict
from geopdn.cli.memory import least_and_usual_mb
from geopdn.cli.messages import tell

if TYPE_CHECKING:
    from affine import Affine

    from geopdn.scene import Scene


def info(
    scene: options.SceneFile,
    *,
    model: options.Model = None,
    bands: options.Bands = None,
    any_scale: options.AnyScale = False,
    allow_vrt: options.AllowVrt = False,
    allow_host: options.AllowHosts = None,
    no_overviews: options.NoOverviews = False,
    measure: Annotated[
        bool, typer.Option("--measure", help="Time the networks on this machine first, which takes some seconds.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Say what a scene is and what a run would cost.

    Seconds are nominal: those of the two CPU cores that the weights were written on, or with --measure this machine's.

    Example: geopdn info airport.tif
    """
    reading = Reading(
        options.split_bands(bands),
        any_scale=any_scale,
        allow_vrt=allow_vrt,
        allow_hosts=tuple(allow_host or ()),
        use_overviews=not no_overviews,
    )
    with reading.open(scene, bands=reading.bands) as item:
        record = describe(item, scene)
        record["models"], record["misfits"], record["memory"] = _models(item, model, reading, measure=measure)
    if as_json:
        record["models"] = [cost.to_dict() for cost in record["models"]]
        tell(json.dumps(record, allow_nan=False, ensure_ascii=False))
    else:
        _show(record)


def describe(scene: "Scene", path: str) -> dict[str, Any]:
    """The facts of a scene, for JSON."""
    from geopdn.scene.sidecar import Sidecar

    sidecar = Sidecar.find(scene, level=3)
    if sidecar is not None:
        sidecar.close()
    size, pixel, crs = scene.size, scene.pixel_size, scene.crs
    authority = None if crs is None else crs.to_authority()
    return {
        "scene": path,
        "driver": scene.driver,
        "width": size.width,
        "height": size.height,
        "dtype": scene.dtype.name,
        "bands": list(scene.all_band_names),
        "crs": None if crs is None else crs.name,
        "crs_code": None if authority is None else ":".join(authority),
        "transform": list(scene.transform[:6]),
        "orientation": orientation(scene.transform) if crs is not None else None,
        "gcp_residual_px": scene.gcp_residual_px,
        "pixel_size_m": None if pixel is None else [pixel.x_m, pixel.y_m],
        "datetime": scene.datetime or None,
        "nodata": [value if value is None or value == value else "nan" for value in scene.nodata],  # noqa: PLR0124
        "alpha": scene.has_alpha,
        "mask": scene.has_mask,
        "block": [scene.block.height, scene.block.width],
        "overviews": list(scene.overview_factors),
        "overviews_are_means": scene.overviews_are_means(),
        "sidecar": sidecar is not None,
        "overview_seconds": 0.0 if sidecar is not None or scene.overview_factors else round(decode_seconds(scene), 1),
    }


def orientation(transform: "Affine") -> str:
    """`north-up`, `south-up`, `rotated` or `mirrored`."""
    a, b, _, d, e, _ = transform[:6]
    if b or d:
        return "rotated"
    if a < 0:
        return "mirrored"
    return "north-up" if e < 0 else "south-up"


def _models(
    scene: "Scene", model: str | None, reading: Reading, *, measure: bool
) -> tuple[list[Cost], dict[str, str], dict[str, dict[str, int]]]:
    """Costs with the models that fit, why the others do not, and the memory that they take, in MB."""
    from geopdn.model.weights import find_weights, read_header
    from geopdn.scene.resample import resample

    if model is None:
        fitting, reasons = fitting_models(scene, reading)
    else:
        path = find_weights(model)
        header = read_header(path)
        reason = misfit(scene, header, reading)
        fitting, reasons = ({}, {header.name: reason}) if reason else ({header.name: (path, header)}, {})
    costs: list[Cost] = []
    memory: dict[str, dict[str, int]] = {}
    for name, (path, header) in fitting.items():
        cost = predict(scene, path, header, reading, measure=measure)
        if isinstance(cost, str):
            reasons[name] = cost
        else:
            source = resample(scene, pixel_size_m=header.model.pixel_size_m, any_scale=reading.any_scale)
            least, usual = least_and_usual_mb(scene, source, header.model, path)
            memory[name] = {"least_mb": least, "usual_mb": usual}
            costs.append(cost)
    return costs, reasons, memory


def _show(record: dict[str, Any]) -> None:
    """A table of two columns on stdout."""
    from geopdn.cli.tables import print_facts

    rows = [
        ("scene", record["scene"]),
        ("size", f"{record['width']:,} x {record['height']:,} px, {record['width'] * record['height'] / 1e6:,.1f} Mpx"),
        ("values", f"{record['dtype']}, {record['driver']}, blocks of {record['block'][1]} x {record['block'][0]} px"),
        ("bands", ", ".join(record["bands"])),
        ("system", _system(record)),
        ("pixel size", _pixel_size(record)),
        ("acquired", record["datetime"] or "unknown"),
        ("not valid", _mask(record)),
        ("overviews", _overviews(record)),
    ]
    rows += [(f"with {cost.model}", _cost(cost, record["memory"][cost.model])) for cost in record["models"]]
    rows += [("does not fit", f"{name}: {reason}") for name, reason in record["misfits"].items()]
    if not record["models"] and not record["misfits"]:
        rows.append(("models", "none is shipped with this geopdn: give one with --model"))
    print_facts(rows)


def _system(record: dict[str, Any]) -> str:
    if record["crs"] is None:
        return "none: coordinates are pixels; detect needs --pixel-output"
    code = f" ({record['crs_code']})" if record["crs_code"] else ""
    placed = ""
    if record["gcp_residual_px"] is not None:
        placed = f", fitted to ground control points within {record['gcp_residual_px']:.2f} px"
    return f"{record['crs']}{code}, {record['orientation']}{placed}"


def _pixel_size(record: dict[str, Any]) -> str:
    if record["pixel_size_m"] is None:
        return "unknown"
    x, y = record["pixel_size_m"]
    return f"{x:.4g} x {y:.4g} m on the ground, at the centre"


def _mask(record: dict[str, Any]) -> str:
    parts = [
        f"value {value:g}" if isinstance(value, float) else f"value {value}" for value in _values(record["nodata"])
    ]
    parts += ["alpha band"] if record["alpha"] else []
    parts += ["mask"] if record["mask"] else []
    return ", ".join(parts) or "nothing: all pixels count"


def _values(nodata: list[Any]) -> list[Any]:
    return list(dict.fromkeys(value for value in nodata if value is not None))


def _overviews(record: dict[str, Any]) -> str:
    factors = ", ".join(f"1/{factor}" for factor in record["overviews"])
    if record["overviews_are_means"] is False:
        factors += ", not plain means (JPEG, nearest ...): windows are averaged from pixels of half the size"
    if record["sidecar"]:
        return f"{factors or 'none of its own'}, and one with minimum and maximum by `geopdn prepare`"
    if factors:
        return f"{factors}; `geopdn prepare` would add minimum and maximum, which show small objects better"
    return (
        f"none: each run first reads all pixels, nominally {record['overview_seconds']:,.1f} s; write them once with "
        "`geopdn prepare`, or make a COG (gdal_translate -of COG)"
    )


def _cost(cost: Cost, memory: dict[str, int]) -> str:
    text = f"full scan: {cost.scan_windows:,} windows of {cost.kind} px, {cost.scan_seconds:,.1f} s"
    if cost.typical_windows is not None and cost.share is not None:
        text += (
            f"; typical run: {cost.typical_windows:,} windows, {cost.typical_seconds:,.1f} s "
            f"({100 * cost.share:.0f} % of the pixels, as on its validation scenes)"
        )
    clock = "measured on this machine" if cost.measured else "nominal seconds on two CPU cores"
    return (
        f"{text}; {clock}; up to {memory['usual_mb']:,} MB of memory, at least {memory['least_mb']:,} MB with --memory"
    )
