"""The only code that touches rasters: open, read windows, masks, radiometry, overviews, simulated scenes."""
