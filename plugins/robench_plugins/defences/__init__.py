"""Defences at test time, one a file; their declarations are in ``components.py``."""
