"""What geopdn puts into QGIS: a Processing script, and the profiles it goes to."""
