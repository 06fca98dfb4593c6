"""Scripts that make the small CLIP models shipped with the plugins."""
