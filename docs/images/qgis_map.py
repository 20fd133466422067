"""Draw `qgis-map.png`: a project of geopdn in QGIS's own widgets, with the map tip of one detection.

geopdn detect sample_scenes/airport.tif --budget 0.2 --project --saliency map/airport.saliency.tif -o map/airport.gpkg
QT_QPA_PLATFORM=offscreen /usr/bin/python3 docs/images/qgis_map.py map/airport.qgz map/map.png
and, for a small file: PIL.Image.open("map/map.png").convert("RGB").quantize(128).save("docs/images/qgis-map.png").
"""

import os
import sys
import time

from qgis.core import (
    QgsApplication,
    QgsExpression,
    QgsExpressionContext,
    QgsExpressionContextUtils,
    QgsLayerTreeModel,
    QgsProject,
)
from qgis.gui import QgsLayerTreeView, QgsMapCanvas
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtWidgets import QHBoxLayout, QLabel, QWidget

SIZE = (960, 600)
TREE_PX = 250
AROUND_M = 330  # half of the map's width


def main(project: str, target: str) -> None:
    """Open, draw, save."""
    application = QgsApplication([], True)
    application.initQgis()
    if not QgsProject.instance().read(project):
        sys.exit(f"QGIS cannot read {project}")
    layers = [node.layer() for node in QgsProject.instance().layerTreeRoot().findLayers() if node.isVisible()]
    detections = next(layer for layer in layers if layer.name() == "detections")
    feature = best_pictured(detections)

    window, canvas = QWidget(), QgsMapCanvas()
    canvas.setCanvasColor(QColor("white"))
    tree = QgsLayerTreeView()
    model = QgsLayerTreeModel(QgsProject.instance().layerTreeRoot())
    model.setFlag(QgsLayerTreeModel.AllowNodeChangeVisibility)
    tree.setModel(model)
    tree.expandToDepth(0)
    for node in QgsProject.instance().layerTreeRoot().findLayers():
        tree.setExpanded(tree.node2index(node), node.isExpanded())
    tree.setFixedWidth(TREE_PX)
    row = QHBoxLayout(window)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(0)
    row.addWidget(tree)
    row.addWidget(canvas)
    window.resize(*SIZE)
    window.show()
    application.processEvents()
    box = feature.geometry().boundingBox()
    view = box.buffered(AROUND_M - box.width() / 2)
    canvas.setDestinationCrs(QgsProject.instance().crs())
    canvas.setLayers(layers)
    canvas.setExtent(view)
    canvas.refreshAllLayers()
    for _ in range(100):
        application.processEvents()
        time.sleep(0.05)
    tip = QLabel(tip_of(detections, feature), canvas)
    tip.setStyleSheet("background: #ffffdc; border: 1px solid #555; padding: 6px; color: black")
    tip.adjustSize()
    corner = canvas.getCoordinateTransform().transform(box.xMaximum(), box.yMinimum())
    tip.move(int(corner.x()) + 4, min(int(corner.y()) + 4, canvas.height() - tip.height() - 4))
    tip.show()
    application.processEvents()
    window.grab().save(target)
    sys.stdout.flush()
    os._exit(0)  # leaving by exitQgis() with layers alive crashes QGIS 3.22


def best_pictured(layer):
    """The detection with a picture that lies nearest to the middle of all."""
    centre = layer.extent().center()
    return min(
        (feature for feature in layer.getFeatures() if feature["picture"]),
        key=lambda feature: feature.geometry().centroid().asPoint().distance(centre),
    )


def tip_of(layer, feature) -> str:
    """What QGIS shows under the pointer."""
    context = QgsExpressionContext(QgsExpressionContextUtils.globalProjectLayerScopes(layer))
    context.setFeature(feature)
    return QgsExpression.replaceExpressionText(layer.mapTipTemplate(), context)


if __name__ == "__main__":
    main(*sys.argv[1:])
