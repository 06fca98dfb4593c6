"""Constraints: what an attack may change of an image, and how much."""
