"""Mutated files, one after another, for some seconds: `python tests/faults/fuzz.py tiff 120 --seed 1`.

What is not answered as it should be stops the run with the number of the input, which makes it again: each input is a
function of the seed and its number. A crash of the process is found by whoever started it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import resource
import signal
import struct
import sys
import tempfile
import time
import warnings
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

ALLOWED = (0, 3, 4, 5)
"""Exit codes of `geopdn info` for a damaged file."""
MEMORY_BYTES = 6 << 30
SECONDS = 30
"""For one input."""
NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
WORDS = ["true", "no", "010", "1:30", ".nan", "[]", "{}", "!!python/name:os", "&a", "*a", *"-'\"\n:#|"]


def mutated(content: bytes, rng: np.random.Generator, *, most: int) -> bytes:
    """The content with a few bytes flipped, set, copied, removed or cut off, within its first `most` mostly."""
    out = bytearray(content)
    for _ in range(int(rng.integers(1, 8))):
        if not out:
            break
        at = int(rng.integers(0, min(most, len(out)) if rng.random() < 0.8 else len(out)))
        kind = rng.integers(0, 7)
        if kind <= 1:
            out[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 2:
            out[at] = int(rng.integers(0, 256))
        elif kind in (3, 4):
            width = int(rng.choice([1, 2, 4]))
            value = int(rng.choice(NUMBERS)) & ((1 << 8 * width) - 1)
            out[at : at + width] = value.to_bytes(width, "little")[: len(out) - at]
        elif kind == 5:
            length, source = int(rng.integers(1, 24)), int(rng.integers(0, len(out)))
            out[at : at + length] = out[source : source + length]
        elif rng.random() < 0.2:
            del out[at:]
        else:
            del out[at : at + int(rng.integers(1, 5))]
    return bytes(out)


def one_line(error: Exception) -> str:
    """That it was refused, as it should be."""
    assert "\n" not in str(error), str(error)
    return "refused"


def small_tiff(path: Path) -> bytes:
    """A tiled GeoTIFF of about 20 kB with overviews, a mask and tags."""
    import rasterio

    values = np.random.default_rng(0).integers(0, 60, (3, 150, 130)).astype(np.uint8)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        with rasterio.open(
            path, "w", driver="GTiff", count=3, height=150, width=130, dtype="uint8", tiled=True, blockxsize=64,
            blockysize=64, compress="deflate", photometric="rgb", crs="EPSG:32631", nodata=0,
            transform=rasterio.Affine(0.5, 0, 5e5, 0, -0.5, 5e6),
        ) as target:  # fmt: skip
            target.write(values // 12)
            target.update_tags(TIFFTAG_DATETIME="2026:05:01 10:11:12")
            target.scales = (0.5, 1.0, 2.0)
        with rasterio.open(path, "r+") as target:
            target.build_overviews([2, 4], rasterio.enums.Resampling.average)
    return path.read_bytes()


def tiff(folder: Path) -> tuple[bytes, int, Callable[[bytes], str]]:
    """`geopdn info`, then every pixel at two levels."""
    from geopdn.cli.main import run
    from geopdn.errors import GeopdnError
    from geopdn.geometry.window import Window
    from geopdn.scene import Scene

    path = folder / "a.tif"
    content = small_tiff(path)

    def look(changed: bytes) -> str:
        path.write_bytes(changed)
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                run(["info", str(path), "--json"])
            except SystemExit as stop:
                code = int(stop.code or 0)
        assert code in ALLOWED, (code, err.getvalue())
        assert "Traceback" not in err.getvalue()
        if code:
            assert len([line for line in err.getvalue().splitlines() if line.startswith("error: ")]) == 1, (
                err.getvalue()
            )
            return "refused"
        json.loads(out.getvalue())
        with contextlib.suppress(GeopdnError), Scene.open(path) as scene:
            for level in (0, 2):
                size = scene.size.at_level(level)
                scene.read(Window(0, 0, min(size.height, 300), min(size.width, 300), level))
        return "opened"

    return content, 2000, look


def weights(folder: Path) -> tuple[bytes, int, Callable[[bytes], str]]:
    """The header, and the network where the header passes."""
    import torch
    from planted import tiny_config

    from geopdn.errors import CheckpointError
    from geopdn.model.patchdrivenet import PatchDriveNet
    from geopdn.model.weights import WeightsHeader, load_weights, read_header, save_weights

    path = folder / "a.safetensors"
    torch.manual_seed(0)
    config = tiny_config()
    save_weights(PatchDriveNet(config=config), WeightsHeader(name="tiny", model=config), path)
    content = path.read_bytes()

    def look(changed: bytes) -> str:
        path.write_bytes(changed)
        try:
            read_header(path)
            load_weights(path)
        except CheckpointError as error:
            return one_line(error)
        return "opened"

    return content, 3000, look


def header(folder: Path) -> tuple[bytes, int, Callable[[bytes], str]]:
    """What the header says of the network, the JSON around it sound."""
    content, _, look = weights(folder)
    length = struct.unpack("<Q", content[:8])[0]
    around = json.loads(content[8 : 8 + length])
    record, rest = around["__metadata__"]["geopdn"], content[8 + length :]

    def look_inside(changed: bytes) -> str:
        around["__metadata__"]["geopdn"] = changed.decode("latin-1")
        text = json.dumps(around).encode()
        return look(struct.pack("<Q", len(text)) + text + rest)

    return record.encode(), len(record), look_inside


def config(folder: Path) -> tuple[bytes, int, Callable[[bytes], str]]:
    """A training configuration, with words of YAML thrown in."""
    from geopdn.config_file import load_train_config
    from geopdn.errors import ConfigError

    path = folder / "a.yaml"
    whole = min(Path(str(resources.files("geopdn.configs"))).glob("*.yaml")).read_bytes()

    def look(changed: bytes) -> str:
        rng = np.random.default_rng(len(changed) + sum(changed[:64]))
        if changed != whole and rng.random() < 0.5:
            at = int(rng.integers(0, len(changed) + 1))
            changed = changed[:at] + str(rng.choice(WORDS)).encode() + changed[at:]
        path.write_bytes(changed)
        try:
            load_train_config(path)
        except ConfigError as error:
            return one_line(error)
        return "opened"

    return whole, len(whole), look


TARGETS = {"tiff": tiff, "weights": weights, "header": header, "config": config}


def run_for(name: str, seconds: float, *, seed: int, only: int | None = None) -> dict[str, int]:
    """Try inputs for some seconds; how many there were, by what became of them."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, resource.RLIM_INFINITY))
    warnings.simplefilter("ignore")
    counted = {"opened": 0, "refused": 0}
    with tempfile.TemporaryDirectory() as folder:
        content, most, look = TARGETS[name](Path(folder))
        assert look(content) == "opened"  # imports what it needs, before the time counts
        started, number = time.monotonic(), only or 0
        while time.monotonic() - started < seconds:
            changed = mutated(content, np.random.default_rng([seed, number]), most=most)
            signal.alarm(SECONDS)
            try:
                counted[look(changed)] += 1
            except BaseException:
                sys.stderr.write(f"\ninput {number} of seed {seed} ({name}):\n")
                raise
            finally:
                signal.alarm(0)
            number += 1
            if only is not None:
                break
    return counted


if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1] / "cli"), str(Path(__file__).parents[2])]
    parser = argparse.ArgumentParser()
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    chosen = parser.parse_args()
    sys.stdout.write(json.dumps(run_for(chosen.target, chosen.seconds, seed=chosen.seed, only=chosen.only)) + "\n")
