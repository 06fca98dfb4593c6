"""Adaptations: what a tuner may change."""
