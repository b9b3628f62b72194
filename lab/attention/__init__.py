"""Where attention goes and what changes it: measured while a model runs, without ever holding an L×L matrix."""
