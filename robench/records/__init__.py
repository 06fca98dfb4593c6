"""The record of a run, and the folder that keeps records."""
