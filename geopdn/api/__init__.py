"""What the command line and Python share: scenes opened for a model, searched, and shown; `geopdn.detect`."""
