"""Start the package of a new plugin."""
