"""Grids over the parameters of a training study."""
