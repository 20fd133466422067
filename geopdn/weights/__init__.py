"""The weights that ship with geopdn (safetensors with a readable header)."""
