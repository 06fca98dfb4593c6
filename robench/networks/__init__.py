"""Run a network.

- ``evaluate.py``: predictions, logits and the hash of its weights.
- ``memory.py``: batches that shrink when memory runs out.
- ``folding.py``: batch norms folded into convolutions during an attack.
- ``compiled.py``: compiled by torch during an attack.
- ``ensemble.py``: several networks as one.
- ``borrowed.py``: somebody else's network, left as it was.
- ``layers.py``: its parameters, layer by layer.
"""
