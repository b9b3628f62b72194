"""One file per entry point: what is asked, the hypotheses, and the run that answers."""
