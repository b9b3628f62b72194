"""Suites of questions with known answers, generated from a seed: what a model could do before and after training."""
