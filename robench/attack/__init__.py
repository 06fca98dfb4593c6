"""Adversarial images that can be believed: an attack makes them; the core projects, rounds and checks them.

- ``perturbation.py``: run an attack on a set of images without side effects, and check the ball.
- ``projection.py``: 8-bit images within the ball, by the constraint of the attack.
- ``adversary.py``: the adversarial sets of a run, and the cache of those made on a surrogate.
- ``queries.py``: the network as an attack sees it that may only ask: counted, and cut at its budget.
- ``seen.py``: the network as an attack sees it, with its defence or without.
- ``python.py``: ``robench.attack``.
- ``live.py``: white-box adversarial training images, made batch by batch.

The attacks themselves are plugins: PGD is in plugins/robench_plugins/attackers/pgd.py.
"""

import robench

robench._make_callable(__name__)
