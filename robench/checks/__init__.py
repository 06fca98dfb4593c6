"""The validity certificate of a run: one file per kind of check."""
