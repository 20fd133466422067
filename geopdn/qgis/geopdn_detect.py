"""QGIS Processing: find objects in a raster layer with geopdn, and show what was found.

`geopdn qgis install` puts this file into a profile of QGIS and writes two values into it. It runs in QGIS's own Python
(3.9 and newer, without geopdn): the search is a process of its own, in the environment that geopdn was installed in.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from queue import Empty, Queue

from qgis.core import (
    QgsFeature,
    QgsFeatureSink,
    QgsFields,
    QgsGeometry,
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingLayerPostProcessorInterface,
    QgsProcessingOutputNumber,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFile,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
    QgsVectorFileWriter,
    QgsWkbTypes,
)

COMMAND = []  # written by `geopdn qgis install`
MODELS = []  # written by `geopdn qgis install`

VARIABLE = "GEOPDN_EXECUTABLE"
FITTING = "the shipped one that fits"
LAYERS = ("geometrytype=Polygon|layername=windows", "layername=detections")
"""What is added to the map; QGIS puts the last of the alphabet on top, from 3.32 on the last by sort key."""
INCOMPLETE = 5
POLL_S = 0.1
PATIENCE_S = 20  # between asking the search to end and ending it
OVERVIEW_SHARE = 15  # of the bar, per cent
OF_QGIS = ("PYTHON", "VIRTUAL_ENV", "GDAL_", "PROJ_", "__PYVENV")  # variables that are for QGIS's own libraries


class OwnStyle(QgsProcessingLayerPostProcessorInterface):
    """Gives a layer that Processing has added the style that lies in its file."""

    def postProcessLayer(self, layer, _context, _feedback) -> None:  # noqa: ANN001
        """Take the file's default style."""
        layer.loadDefaultStyle()
        layer.triggerRepaint()


STYLING = []  # those that are in use


class GeopdnDetect(QgsProcessingAlgorithm):
    """The algorithm as the toolbox shows it."""

    def createInstance(self) -> GeopdnDetect:
        """Another of this kind."""
        return GeopdnDetect()

    def name(self) -> str:
        """Its name in `qgis_process` and models: `script:geopdn_detect`."""
        return "geopdn_detect"

    def displayName(self) -> str:
        """Its name for people."""
        return "Find objects in a huge scene"

    def group(self) -> str:
        """Where it is listed."""
        return "geopdn"

    def groupId(self) -> str:
        """Where it is listed, for programs."""
        return "geopdn"

    def shortHelpString(self) -> str:
        """What it does, in the dialog."""
        return (
            "<p>Looks closely only where objects are to be expected, and adds what was found, and what was looked at, "
            "to the map.</p><p><b>Budget</b>: a share of the pixels (0.2), a number of windows (64w), seconds (30s) or "
            "full. Left empty, the search ends at the <b>recall target</b>: the share of what a full scan would find."
            "</p><p><b>Earlier scenes</b> of the same ground, on any grid, tell models that learnt from some where "
            "to look; scenes of other ground are left out.</p><p><b>Area</b>: polygons of a layer (the selected ones, "
            "if you wish), or an extent.</p>"
        )

    def initAlgorithm(self, _configuration=None) -> None:  # noqa: ANN001
        """What can be set in the dialog."""
        number, choices = QgsProcessingParameterNumber, [FITTING, *MODELS]
        self.addParameter(QgsProcessingParameterRasterLayer("SCENE", "Scene"))
        self.addParameter(
            QgsProcessingParameterEnum("MODEL", "Model", choices, defaultValue=FITTING, usesStaticStrings=True)
        )
        self.addParameter(
            QgsProcessingParameterFile("WEIGHTS", "Model of your own", extension="safetensors", optional=True)
        )
        self.addParameter(QgsProcessingParameterString("BUDGET", "Budget (0.2, 64w, 30s or full)", optional=True))
        self.addParameter(
            number("RECALL", "Recall target", number.Double, 0.98, optional=True, minValue=0.01, maxValue=1)
        )
        self.addParameter(
            QgsProcessingParameterMultipleLayers(
                "PREVIOUS", "Earlier scenes of the same ground", QgsProcessing.TypeRaster, optional=True
            )
        )
        self.addParameter(
            QgsProcessingParameterFeatureSource(
                "AREA", "Search only in these polygons", [QgsProcessing.TypeVectorPolygon], optional=True
            )
        )
        self.addParameter(QgsProcessingParameterExtent("EXTENT", "Search only in this extent", optional=True))
        self.addParameter(number("MIN_SCORE", "Lowest score (empty: the model's own)", number.Double, None, True, 0, 1))
        executable = QgsProcessingParameterFile("EXECUTABLE", "The program geopdn (empty: as installed)", optional=True)
        executable.setFlags(executable.flags() | QgsProcessingParameterDefinition.FlagAdvanced)
        self.addParameter(executable)
        self.addParameter(
            QgsProcessingParameterFileDestination("OUTPUT", "What was found", "GeoPackage files (*.gpkg)")
        )
        self.addOutput(QgsProcessingOutputNumber("DETECTIONS", "Number of objects"))
        self.addOutput(QgsProcessingOutputNumber("WINDOWS", "Number of windows that were looked at"))

    def checkParameterValues(self, parameters, context) -> tuple:  # noqa: ANN001
        """Refuse contradictions before anything runs."""
        if parameters.get("AREA") and parameters.get("EXTENT"):
            return False, "Both polygons and an extent are given to search in: leave one out."
        if self.parameterAsString(parameters, "WEIGHTS", context) and self._model(parameters, context) != FITTING:
            return False, "Both a shipped model and one of your own are given: leave one out."
        return super().checkParameterValues(parameters, context)

    def processAlgorithm(self, parameters, context, feedback) -> dict:  # noqa: ANN001
        """Search, and name the layers that are to be added to the map."""
        output = Path(self.parameterAsFileOutput(parameters, "OUTPUT", context))
        if output.suffix.lower() != ".gpkg":
            output = output.with_name(output.name + ".gpkg")
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=".geopdn-", dir=output.parent))
        except OSError as error:
            raise QgsProcessingException(
                f"{output.parent} cannot be written: {error}; choose another folder"
            ) from error
        try:
            found = folder / output.name
            command = [
                *self._program(parameters, context),
                *self._arguments(parameters, context, folder),
                "-o",
                str(found),
            ]
            record = search(command, feedback=feedback, folder=folder)
            if record is None:
                return {}
            try:
                found.replace(output)
            except OSError as error:
                raise QgsProcessingException(f"{output} cannot be replaced ({error}): is it open?") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        project = context.project()
        if project is not None:
            STYLING.clear()
            for key, layer in enumerate(LAYERS):
                name = layer.rpartition("=")[2]
                details = QgsProcessingContext.LayerDetails(f"{output.stem} {name}", project, "OUTPUT")
                details.layerSortKey = key
                STYLING.append(OwnStyle())  # one each: QGIS deletes it, but does not keep Python's half of it
                details.setPostProcessor(STYLING[-1])
                context.addLayerToLoadOnCompletion(f"{output}|{layer}", details)
        return {"OUTPUT": str(output), "DETECTIONS": record["detections"], "WINDOWS": record["windows"]}

    def _model(self, parameters, context) -> str:  # noqa: ANN001
        return self.parameterAsEnumString(parameters, "MODEL", context) or FITTING

    def _program(self, parameters, context) -> list:  # noqa: ANN001
        """The command: of the dialog, of the environment variable, or as installed."""
        named = self.parameterAsString(parameters, "EXECUTABLE", context) or os.environ.get(VARIABLE, "")
        command = [named] if named else COMMAND
        if not command or shutil.which(command[0]) is None:
            raise QgsProcessingException(
                f"geopdn is not at {command[0] if command else 'any known place'}: run `geopdn qgis install` again, "
                f"set {VARIABLE}, or give the program under the advanced parameters"
            )
        return list(command)

    def _arguments(self, parameters, context, folder: Path) -> list:  # noqa: ANN001
        """What geopdn is asked for."""
        scene = self.parameterAsRasterLayer(parameters, "SCENE", context)
        wanted = ["detect", raster_file(scene, "The scene"), "--json", "--progress-json"]
        for earlier in self.parameterAsLayerList(parameters, "PREVIOUS", context):
            wanted += ["--previous", raster_file(earlier, "An earlier scene")]
        model = self.parameterAsString(parameters, "WEIGHTS", context) or self._model(parameters, context)
        if model != FITTING:
            wanted += ["--model", model]
        budget = self.parameterAsString(parameters, "BUDGET", context).strip()
        if budget:
            wanted += ["--budget", budget]
        elif parameters.get("RECALL", 0) is not None:  # left out is the default, cleared is none
            wanted += ["--recall", str(self.parameterAsDouble(parameters, "RECALL", context))]
        if parameters.get("MIN_SCORE") is not None:
            wanted += ["--min-score", str(self.parameterAsDouble(parameters, "MIN_SCORE", context))]
        area = self._area(parameters, context, folder)
        return wanted if area is None else [*wanted, "--aoi", str(area)]

    def _area(self, parameters, context, folder: Path):  # noqa: ANN001, ANN202
        """The polygons to search in as a file, None for everywhere."""
        source = self.parameterAsSource(parameters, "AREA", context)
        if source is not None:
            crs, geometries = source.sourceCrs(), [feature.geometry() for feature in source.getFeatures()]
        elif parameters.get("EXTENT"):
            crs = self.parameterAsExtentCrs(parameters, "EXTENT", context)
            geometries = [QgsGeometry.fromRect(self.parameterAsExtent(parameters, "EXTENT", context))]
        else:
            return None
        path = folder / "area.gpkg"
        options = QgsVectorFileWriter.SaveVectorOptions()
        options.driverName, options.layerName = "GPKG", "aoi"
        kind, transform = QgsWkbTypes.MultiPolygon, context.transformContext()
        writer = QgsVectorFileWriter.create(str(path), QgsFields(), kind, crs, transform, options)
        for geometry in geometries:
            feature = QgsFeature()
            geometry.convertToMultiType()
            feature.setGeometry(geometry)
            writer.addFeature(feature, QgsFeatureSink.FastInsert)
        problem = writer.errorMessage()
        del writer  # closes the file
        if problem:
            raise QgsProcessingException(f"The area to search in cannot be written: {problem}")
        return path


def raster_file(layer, what: str) -> str:  # noqa: ANN001
    """The file or URL of a raster layer, as geopdn, which runs in a folder of its own, takes it.

    Raises:
        QgsProcessingException: it is of another kind.
    """
    if layer is None or layer.providerType() != "gdal":
        raise QgsProcessingException(f"{what} is not a raster file: choose a layer that is one, or save it as one")
    source = layer.source().split("|")[0]
    if source.startswith("/vsicurl/"):
        return source[len("/vsicurl/") :]
    return str(Path(source).absolute()) if Path(source).exists() else source


def search(command: list, *, feedback, folder: Path):  # noqa: ANN001, ANN201
    """Run geopdn, show its progress, end it when the user cancels.

    Args:
        command: the program and its arguments.
        feedback: of Processing.
        folder: where it runs.

    Returns:
        The object that it printed, None where the user cancelled.

    Raises:
        QgsProcessingException: with geopdn's own message.
    """
    feedback.pushCommandInfo(subprocess.list2cmdline(command))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OF_QGIS)}
    quiet = {"creationflags": subprocess.CREATE_NO_WINDOW} if sys.platform == "win32" else {}
    try:
        process = subprocess.Popen(  # noqa: S603 (the user's own program)
            command,
            cwd=folder,
            env={**kept, "PYTHONIOENCODING": "utf-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            **quiet,
        )
    except OSError as error:
        raise QgsProcessingException(f"{command[0]} cannot be started: {error}") from error
    lines, printed = Queue(), []
    readers = [
        threading.Thread(target=lambda: [lines.put(line) for line in process.stderr], daemon=True),
        threading.Thread(target=lambda: printed.extend(process.stdout), daemon=True),
    ]
    for reader in readers:
        reader.start()
    said = _follow(process, lines, feedback)
    for reader in readers:
        reader.join(PATIENCE_S)
    process.stdout.close()
    process.stderr.close()
    while not lines.empty():
        said.append(_show(lines.get(), feedback))
    if feedback.isCanceled() and process.returncode != 0:
        feedback.pushInfo("Cancelled: the search was ended, nothing was written.")
        return None
    if process.returncode not in (0, INCOMPLETE):
        reason = " ".join(text for text in said if text.startswith("error: ")) or " ".join(said[-3:])
        raise QgsProcessingException(f"geopdn ended with {process.returncode}: {reason or 'it said nothing'}")
    record = json.loads("".join(printed))
    if process.returncode == INCOMPLETE:
        feedback.reportError(f"{len(record['failures'])} windows could not be read: see the layer failures")
    share = 100 * record["share"]
    feedback.pushInfo(
        f"Found {record['detections']} objects in {record['windows']} windows, {share:.1f} % of the pixels."
    )
    return record


def _follow(process, lines: Queue, feedback) -> list:  # noqa: ANN001
    """Show what the process says until it ends, and end it when the user cancels; returns its messages."""
    said, asked = [], False
    while process.poll() is None:
        if feedback.isCanceled() and not asked:
            asked = True
            process.terminate()
            last_resort = threading.Timer(PATIENCE_S, process.kill)
            last_resort.daemon = True
            last_resort.start()
        try:
            said.append(_show(lines.get(timeout=POLL_S), feedback))
        except Empty:
            continue
    return said


def _show(line: str, feedback) -> str:  # noqa: ANN001
    """Move the bar, or show a message; returns it."""
    text = line.strip()
    try:
        at = json.loads(text)
        done, stage = at["done"] / max(at["total"], 1), at["stage"]
    except (ValueError, TypeError, KeyError):
        if text:
            feedback.pushInfo(text)
        return text
    if stage == "overview":
        feedback.setProgress(OVERVIEW_SHARE * done)
        feedback.setProgressText(f"Overview: {at['done']} of {at['total']} tiles")
    else:
        feedback.setProgress(OVERVIEW_SHARE + (100 - OVERVIEW_SHARE) * done)
        feedback.setProgressText(f"{at['done']} of {at['total']} windows, {at['found']} found")
    return ""
