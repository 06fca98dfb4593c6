"""The one training loop, and the tuners that are an adaptation times an objective.

- ``product.py``: the tuner behind every ``ADAPTATION+OBJECTIVE``.
- ``params.py``: how it is trained: its parameters.
- ``namespaces.py``: the parameters of both halves and of training as one.
- ``loop.py``: the loop itself, also after an interruption.
- ``sampler.py``: the batches of an epoch.
- ``batch_norms.py``: which batch norms keep their statistics.
- ``optimizer.py``: the optimiser and the learning rate.
- ``early_stopping.py``: which epoch was best, and when to stop.
- ``progress.py``: the progress that is shown.
- ``adapters.py``: what was trained, as a file.
"""
