"""Start a new plugin (``robench plugin new``): ``write.py`` fills the templates ``*.j2``."""
