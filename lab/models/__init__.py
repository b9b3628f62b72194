"""Models: references, loading and quantisation, adapters, backends, and one vocabulary over architectures."""
