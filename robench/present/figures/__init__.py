"""Figures of a run: one a file, each a function to a matplotlib figure, or to the reason why it cannot be drawn."""
