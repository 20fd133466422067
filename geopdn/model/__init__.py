"""PatchDriveNet and its stages, losses and weights. Knows no file format of rasters and no CRS."""
