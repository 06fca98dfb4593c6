"""The certificate of a run: signs, on a small sample of images, that its robust accuracy cannot be believed.

- ``certificate.py``: the lists of all checks, and ``certify``, which makes them. Start here.
- ``network.py``: checks of the network alone, such as whether its loss has gradients.
- ``attack.py``: checks of one attack, such as whether it beats random noise.
- ``repeated.py``: checks that repeat an attack with another radius, more steps or another random start.
- ``comparison.py``: checks of the attacks of a run against each other.
- ``verdict.py``: the network and its sample, and how a figure becomes pass, warn or fail.
- ``probes.py``: what checks measure on images without any plugin: logits, gradients, noise, one gradient step.

To add a check, write a function in the file of its kind and add it to a list in ``certificate.py``. Its docstring says
what it compares and what a failure means; docs/checks.md says the same in a table.
"""
