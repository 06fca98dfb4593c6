"""Templates of plugins, and what fills them in."""
