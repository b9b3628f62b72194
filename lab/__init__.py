"""LLM Learning Lab: learn how language models change when they are fine-tuned, by running real experiments.

Axes, used in every docstring and shape comment:
    B batch, L layer, H head, Q query position, K key position, T token position, D model width, V vocabulary, R rank.
Units: nats or bits (always said), bytes, seconds, tokens.
"""

__version__ = "0.1.0"
