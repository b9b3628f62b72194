"""Measurements of the residual stream: what each block writes, when an answer appears, what is readable where."""
