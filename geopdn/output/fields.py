"""What the columns of the layers are called for people, with their units."""

from __future__ import annotations

from typing import NamedTuple


class Field(NamedTuple):
    """How one column is shown.

    Attributes:
        alias: short name with the unit, instead of the column's own.
        meaning: one sentence.
        mime_type: of a column of files, else empty.
    """

    alias: str
    meaning: str
    mime_type: str = ""


PICTURE = "picture"
"""Column of `detections` with small pictures, in GeoPackages that hold some."""

REVIEW = "review"
"""Column of `detections` in GeoPackages in which people say what they see; empty as `geopdn detect` writes it."""
RIGHT, WRONG, MISSED = "right", "wrong", "missed"
REVIEWS = {
    RIGHT: "It is one.",
    WRONG: "It is none.",
    MISSED: "It is one that was not found: added by hand.",
}
"""What the column holds."""

_CORE = "of the part whose objects belong to this window, in pixels of full resolution."
_READ = "of what was read, in pixels of the level that was read."

FIELDS: dict[str, dict[str, Field]] = {
    "detections": {
        "id": Field("Number", "Number of the detection, from 1, the highest score first."),
        "label": Field("Class", "Class of the object."),
        "score": Field("Score (0-1)", "Probability that it is one."),
        "length_m": Field("Length (m)", "Longer side, true ground metres."),
        "width_m": Field("Width (m)", "Shorter side, true ground metres."),
        "heading_deg": Field(
            "Heading (° from north)", "Direction of the longer side, 0 to 180, clockwise from true north: bow or stern."
        ),
        "area_m2": Field("Area (m²)", "Area of the box on the ground, square metres."),
        "scale": Field("Read at 1:n", "Pixels of full resolution a side of one pixel that was read."),
        "window": Field("Window", "Where it was seen: `id` in the layer `windows`."),
        "scene": Field("Scene", "The raster it was found in."),
        "datetime": Field("Time (UTC)", "When the scene was taken."),
        REVIEW: Field("Review", "What a person says of it: right, wrong, or missed for an object added by hand."),
        PICTURE: Field("Picture", "The object and its surroundings, rows and columns as in the scene.", "image/jpeg"),
    },
    "windows": {
        "id": Field("Window", "Number of the window in the order of visit, from 0."),
        "kind": Field("Kind", "Side of the window on the ground, in pixels of full resolution."),
        "scale": Field("Read at 1:n", "Pixels of full resolution a side of one pixel that was read."),
        "reason": Field("Reason", "Why: plan, explore (drawn at random), scan, dense or audit."),
        "round": Field("Round", "Round of looking, from 0; what earlier rounds found chooses the next windows."),
        "expected": Field("Expected (objects)", "Objects that were expected to be found in it, when it was chosen."),
        "found": Field("Found (objects)", "Detections in its core."),
        "status": Field("Status", "read, empty (no valid pixel) or failed."),
        "cause": Field("Cause of failure", "Why it could not be read."),
        "row": Field("Row (px)", f"First row {_CORE}"),
        "col": Field("Column (px)", f"First column {_CORE}"),
        "height": Field("Height (px)", f"Height {_CORE}"),
        "width": Field("Width (px)", f"Width {_CORE}"),
        "read_row": Field("Row read (px)", f"First row {_READ}"),
        "read_col": Field("Column read (px)", f"First column {_READ}"),
        "read_height": Field("Height read (px)", f"Height {_READ}"),
        "read_width": Field("Width read (px)", f"Width {_READ}"),
    },
    "run": {
        "scene": Field("Scene", "The raster that was searched."),
        "datetime": Field("Time (UTC)", "When the scene was taken."),
        "height": Field("Height (px)", "Height of the scene at the pixel size of the model."),
        "width": Field("Width (px)", "Width of the scene at the pixel size of the model."),
        "transform": Field("Transform", "Pixel (column, row) to map (x, y): a, b, c, d, e, f."),
        "has_heading": Field("Boxes turned", "Whether boxes say a heading."),
        "classes": Field("Classes", "Classes that were searched for."),
        "n_detections": Field("Detections", "Number of detections."),
        "command": Field("Command", "What was called, files by name, without outputs and looks."),
        "versions": Field("Versions", "Of Python and of the libraries that the result depends on."),
        "model": Field("Model", "Weights that chose the windows and looked at them."),
        "runtime": Field("Runtime", "What computed its windows: torch or onnxruntime."),
        "previous": Field("Earlier dates", "Scenes of the same ground whose overviews helped to say where to look."),
        "budget": Field("Budget", "What could be spent, or the recall that was aimed at."),
        "min_score": Field("Lowest score (0-1)", "Lowest score of a detection."),
        "pixel_size_m": Field("Pixel size (m)", "Pixel size the scene was searched at, metres."),
        "pixels_total": Field("Pixels", "Pixels of the scene."),
        "pixels_read": Field("Pixels read", "Pixels of full resolution that windows covered, counted once."),
        "share": Field("Share read (0-1)", "Pixels read by pixels of the scene."),
        "n_windows": Field("Windows", "Windows that were read."),
        "n_failed": Field("Windows failed", "Windows that could not be read."),
        "expected_total": Field("Expected (objects)", "Objects that the overview led to expect in the whole scene."),
        "estimated_recall": Field("Estimated recall (0-1)", "Share found of what a full scan would find."),
        "duplicates": Field("Duplicates", "Boxes that were dropped because another shows the same object."),
    },
    "raw": {
        "id": Field("Number", "Number of the box, from 1."),
        "label": Field("Class", "Class of the object."),
        "class": Field("Class number", "Position of the class in those of the run, from 0."),
        "score": Field("Score (0-1)", "Probability that it is one."),
        "scale": Field("Read at 1:n", "Pixels of full resolution a side of one pixel that was read."),
        "window": Field("Window", "Where it was seen: `id` in the layer `windows`."),
        "cut": Field("Cut", "Whether it reached the edge of its window."),
        "x": Field("Centre column (px)", "Column of the centre, pixels of full resolution."),
        "y": Field("Centre row (px)", "Row of the centre, pixels of full resolution."),
        "length": Field("Length (px)", "Along the heading, pixels of full resolution."),
        "width": Field("Width (px)", "Across the heading, pixels of full resolution."),
        "angle": Field("Angle (rad)", "From the columns' axis to the rows'."),
    },
    "failures": {
        "window": Field("Window", "Which one: `id` in the layer `windows`."),
        "kind": Field("Kind", "Side of the window on the ground, in pixels of full resolution, or the overview."),
        "level": Field("Level", "Level that was to be read: 0 is full resolution, each further one half of it."),
        "cause": Field("Cause", "Why it could not be read; nothing was searched for here."),
    },
}
"""By layer, then by column; facts of a run that are not here keep their column's name."""
