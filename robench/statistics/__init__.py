"""Intervals, tests, ranks and worst cases."""
