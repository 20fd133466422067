"""Small ONNX networks that see perfectly, in the layouts of real ones: bright squares or bars on dark ground."""

from __future__ import annotations

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DARK = 0.06
CLASSES = ("red", "blue")  # red squares also are what is as red as blue


class Graph:
    """Nodes and constants under construction."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def __call__(self, kind: str, *inputs, **attributes) -> str:
        name = f"n{len(self.nodes)}"
        names = [x if isinstance(x, str) else self.constant(np.asarray(x, np.float32)) for x in inputs]
        self.nodes.append(helper.make_node(kind, names, [name], **attributes))
        return name

    def channel(self, x: str, index: int) -> str:
        ends = [self.constant(np.array([value], np.int64)) for value in (index, index + 1, 1)]
        return self("Slice", x, *ends)

    def reshape(self, x: str, *shape: int) -> str:
        return self("Reshape", x, self.constant(np.array(shape, np.int64)))


def moments_network(
    *, tile: int, side: float, layout: str, oriented_length: float | None = None, open_batch: bool = False
) -> onnx.ModelProto:
    """Every pixel looks at its surroundings; the one nearest to their centre of light reports an object there.

    Args:
        tile: side of the input.
        side: of the squares in pixels, or the width of the bars.
        layout: `yolov5`, `yolov8`, `yolov8-obb` or `end2end` (all rows: nothing is suppressed).
        oriented_length: length of the bars.
        open_batch: the first dimension is open.
    """
    g = Graph()
    reach = int(np.ceil((oriented_length or side) * 0.72))
    size = 2 * reach + 1
    step = np.arange(size, dtype=np.float32) - reach
    dy, dx = np.meshgrid(step, step, indexing="ij")
    kernels = np.stack([np.ones_like(dx), dx, dy, dx * dx, dy * dy, dx * dy])[:, None]
    axes = g.constant(np.array([1], np.int64))
    light = g("Relu", g("Sub", g("ReduceMean", "images", axes, keepdims=1), DARK))
    conv = g("Conv", light, kernels, pads=[reach] * 4)
    m0, mx, my, mxx, myy, mxy = (g.channel(conv, k) for k in range(6))
    mass = g("Add", m0, 1e-9)
    ox, oy = g("Div", mx, mass), g("Div", my, mass)
    cols, rows = np.meshgrid(np.arange(tile) + 0.5, np.arange(tile) + 0.5)
    x, y = g("Add", ox, cols[None, None]), g("Add", oy, rows[None, None])
    near = [g("Cast", g("LessOrEqual", g("Abs", o), 0.501), to=TensorProto.FLOAT) for o in (ox, oy)]
    expected = side * (oriented_length or side) * (1 - DARK)
    strength = g("Clip", g("Mul", m0, 0.99 / expected), 0.0, 0.99)
    score = g("Mul", g("Mul", near[0], near[1]), strength)
    a = g("Sub", g("Div", mxx, mass), g("Mul", ox, ox))
    c = g("Sub", g("Div", myy, mass), g("Mul", oy, oy))
    b = g("Sub", g("Div", mxy, mass), g("Mul", ox, oy))
    gap = g("Sub", a, c)
    root = g("Sqrt", g("Add", g("Mul", gap, gap), g("Mul", g("Mul", b, b), 4.0)))
    if oriented_length is None:
        width = height = g("Sqrt", g("Div", m0, 1 - DARK))
    else:
        both = g("Add", a, c)
        width, height = (g("Sqrt", g("Relu", g("Mul", g(sign, both, root), 6.0))) for sign in ("Add", "Sub"))
    angle = g("Atan", g("Div", g("Mul", b, 2.0), g("Add", g("Add", gap, root), 1e-9)))
    red = g("Cast", g("GreaterOrEqual", g.channel("images", 0), g.channel("images", 2)), to=TensorProto.FLOAT)
    classes = [red, g("Sub", 1.0, red)]
    if layout == "yolov5":
        parts = [x, y, width, height, score, *classes]
    elif layout == "end2end":
        half = g("Mul", width, 0.5)
        parts = [g("Sub", x, half), g("Sub", y, half), g("Add", x, half), g("Add", y, half), score, classes[1]]
    else:
        parts = [x, y, width, height, *(g("Mul", score, one) for one in classes)]
        parts += [angle] if layout == "yolov8-obb" else []
    whole = g.reshape(g("Concat", *parts, axis=1), 0, len(parts), tile * tile)
    rows_first = layout in ("yolov5", "end2end")
    output = g("Transpose", whole, perm=[0, 2, 1]) if rows_first else whole
    n = None if open_batch else 1
    shape = [n, tile * tile, len(parts)] if rows_first else [n, len(parts), tile * tile]
    graph = helper.make_graph(
        g.nodes,
        "squares",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [n, 3, tile, tile])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
        g.constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def constant_network(outputs, *, shape=(1, 3, 64, 64), kind=TensorProto.FLOAT) -> onnx.ModelProto:
    """A network that returns the same whatever it sees (the input is added zero times)."""
    g = Graph()
    zero = g("Mul", g("ReduceMean", g("Cast", "images", to=TensorProto.FLOAT), keepdims=0), 0.0)
    values = []
    for index, array in enumerate(map(np.asarray, outputs)):
        name = f"out{index}"
        element = TensorProto.FLOAT if array.dtype.kind == "f" else TensorProto.INT64
        moved = g("Cast", zero, to=element)
        g.nodes.append(helper.make_node("Add", [g.constant(array), moved], [name]))
        values.append(helper.make_tensor_value_info(name, element, array.shape))
    given = helper.make_tensor_value_info("images", kind, list(shape))
    graph = helper.make_graph(g.nodes, "constant", [given], values, g.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def save(model: onnx.ModelProto, path, **metadata):
    """Write a network; metadata values that are texts stay as they are, others become JSON."""
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value if isinstance(value, str) else json.dumps(value)
    path.write_bytes(model.SerializeToString())
    return path


def deepness(**changes):
    """Deepness's keys as its documentation writes them."""
    keys = {
        "model_type": '"Detector"', "class_names": {"0": "red", "1": "blue"}, "resolution": 50, "tiles_overlap": 25,
        "det_conf": 0.4, "det_iou_thresh": 0.45, "det_type": '"YOLO_Ultralytics"',
    }  # fmt: skip
    return {key: value for key, value in {**keys, **changes}.items() if value is not None}


def ultralytics(**changes):
    """Ultralytics's keys as its exporter writes them: the texts of Python values."""
    keys = {"names": "{0: 'red', 1: 'blue'}", "stride": "32", "task": "detect", "imgsz": "[256, 256]", "batch": "1"}
    return {key: value for key, value in {**keys, **changes}.items() if value is not None}
