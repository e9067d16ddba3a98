"""Patterns of computation in training: one object for each, with its forward and its backward pass."""
