"""How sure a measured number is, and how a model scores."""
