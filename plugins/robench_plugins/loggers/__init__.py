"""Loggers, one a file, for tools that draw runs. Their libraries are only imported if they are used."""
