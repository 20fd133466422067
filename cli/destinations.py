"""Where results go: names are settled and checked before any work."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from geopdn.errors import ConfigError, OutputError

FORMATS = ("gpkg", "geojson", "fgb", "parquet")


@dataclass(frozen=True, slots=True)
class Job:
    """One scene and the files that come of it.

    Attributes:
        scene: path or URL.
        output: the detections.
        saliency: the raster of expected counts, if wanted.
        picture: the PNG, if wanted.
        project: the QGIS project, if wanted.
        item: the STAC item, if wanted.
        begun: names of files that an earlier run was to write, which is gone on with: they may be replaced.
    """

    scene: str
    output: Path
    saliency: Path | None = None
    picture: Path | None = None
    project: Path | None = None
    item: Path | None = None
    begun: tuple[str, ...] = ()

    @property
    def files(self) -> list[Path]:
        """All that is written, the detections first."""
        return [
            path for path in (self.output, self.saliency, self.picture, self.project, self.item) if path is not None
        ]

    def may_replace(self, path: Path, *, overwrite: bool) -> bool:
        """Whether one of the files may take the place of an older one: an earlier run had asked for it."""
        return overwrite or path.name in self.begun


def plan_jobs(
    scenes: Sequence[str],
    *,
    output: Path | None,
    format_: str | None,
    saliency: Path | None = None,
    picture: Path | None = None,
    project: bool = False,
    stac: bool = False,
) -> list[Job]:
    """The output of each scene: as named, in the folder named, or in the working folder.

    Raises:
        ConfigError: contradicting format, one file for several scenes, two scenes with one output, or a project of
            another format than GeoPackage.
    """
    if format_ is not None and format_ not in FORMATS:
        raise ConfigError(f"--format {format_!r}: expected {', '.join(FORMATS)}")
    if len(scenes) > 1 and (saliency or picture):
        raise ConfigError(f"--saliency and --picture are for one scene, {len(scenes)} were given: run them one by one")
    if len(scenes) == 1 and output is not None and not output.is_dir():
        if format_ is not None and output.suffix.lower() != f".{format_}":
            raise ConfigError(f"-o {output} and --format {format_} contradict each other: leave one out")
        return [_with_companions(Job(scenes[0], output, saliency, picture), project=project, stac=stac)]
    if output is not None and len(scenes) > 1 and not output.is_dir() and output.suffix.lower()[1:] in FORMATS:
        raise ConfigError(f"-o {output} is one file, {len(scenes)} scenes were given: name a folder")
    folder = output or Path()
    names = [folder / f"{_stem(scene)}.detections.{format_ or 'gpkg'}" for scene in scenes]
    jobs = [
        _with_companions(Job(scene, name, saliency, picture), project=project, stac=stac)
        for scene, name in zip(scenes, names, strict=True)
    ]
    taken: dict[Path, str] = {}
    for job in jobs:
        if job.output in taken:
            raise ConfigError(
                f"{taken[job.output]} and {job.scene} would both be written to {job.output}: run them one by one"
            )
        taken[job.output] = job.scene
    return jobs


def _with_companions(job: Job, *, project: bool, stac: bool) -> Job:
    """With the files that lie beside the detections under the same name."""
    if stac:
        job = replace(job, item=job.output.with_suffix(".stac.json"))
    if not project:
        return job
    if job.output.suffix.lower() != ".gpkg":
        raise ConfigError(f"--project shows a .gpkg, the output is {job.output.name}: leave one out")
    return replace(job, project=job.output.with_suffix(".qgz"))


def _stem(scene: str) -> str:
    return Path(scene.partition("?")[0] if "://" in scene else scene).stem


@contextmanager
def checked(jobs: Sequence[Job], *, inputs: Sequence[str | Path] = (), overwrite: bool) -> Iterator[None]:
    """Refuse destinations that cannot work; the folder of several scenes is made, and removed if it stays empty.

    Raises:
        ConfigError: an unknown ending, or an output that is an input or another output.
        OutputError: a folder is missing or cannot be written, or a file exists.
    """
    from geopdn.output.write import check_destination

    with made(jobs[0].output.parent) if len(jobs) > 1 else nullcontext():
        given: list[str | Path] = [*(job.scene for job in jobs), *inputs]
        for job in jobs:
            check_destination(job.output, inputs=given, overwrite=job.may_replace(job.output, overwrite=overwrite))
            others = [job.output]
            companions = (job.saliency, ".tif"), (job.picture, ".png"), (job.project, ".qgz"), (job.item, ".json")
            for path, ending in companions:
                if path is not None:
                    free = job.may_replace(path, overwrite=overwrite)
                    check_destination(path, inputs=given, overwrite=free, endings=(ending,))
                    if any(path.resolve() == other.resolve() for other in others):
                        raise ConfigError(f"{path} is named for two outputs: give each its own name")
                    others.append(path)
        yield


@contextmanager
def checked_folder(
    folder: Path, names: Sequence[str], *, inputs: Sequence[str | Path], overwrite: bool
) -> Iterator[None]:
    """Refuse a folder that these files cannot be written to; a new one is made, and removed if it stays empty.

    Raises:
        ConfigError: one of them is an input.
        OutputError: the folder cannot be made, or a file exists or cannot be written.
    """
    from geopdn.output.write import check_destination

    with made(folder):
        for name in names:
            check_destination(folder / name, inputs=inputs, overwrite=overwrite, endings=(Path(name).suffix,))
        yield


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """A folder, made where there is none, and removed again if it stays empty.

    Raises:
        OutputError: it cannot be made.
    """
    is_new = not folder.exists()
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"folder {str(folder)!r} cannot be made: {error.strerror}; choose another -o") from error
    try:
        yield
    finally:
        if is_new and not any(folder.iterdir()):
            folder.rmdir()
