"""Vector layers, styles, saliency raster, pictures. Knows no torch."""
