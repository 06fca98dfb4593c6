"""Tests of robench, a folder for each room; ``python -m pytest`` runs them on all processors."""

import os

IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
if IS_WORKER:
    # Several test processes share the processors: one thread each is fastest. This must come before torch.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
