"""Pixels and places: windows, pyramids, grids, oriented boxes, pixel <-> map. No rasterio, no torch."""
