"""Plots of arrays on given axes. Nothing here measures, saves, shows or logs.

A plot takes arrays (numpy, lists, or tensors on any device) and `ax=None`, labels its axes with units and returns the
axes. Small multiples that need a whole figure of a size of their own say so and return the figure.
"""
