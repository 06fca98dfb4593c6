"""Loggers for tools that draw runs; none of their libraries is imported unless it is asked for."""
