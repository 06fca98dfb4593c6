"""The device, its precision, and the processes that share a run."""
