"""What shape an adapter has, measured from its factors."""
