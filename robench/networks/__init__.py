"""Run a network.

- ``evaluate.py``: predictions, logits and the hash of its weights.
- ``fast_functions.py``: faster linear layers and dropout on machines where that pays.
- ``memory.py``: batches that shrink when memory runs out.
- ``folding.py``: batch norms folded into convolutions during an attack.
- ``compiled.py``: compiled by torch during an attack.
- ``part.py``: a part of a network that a function computes, such as its encoder.
- ``ensemble.py``: several networks as one.
- ``borrowed.py``: somebody else's network, left as it was.
- ``layers.py``: its parameters, layer by layer.
"""
