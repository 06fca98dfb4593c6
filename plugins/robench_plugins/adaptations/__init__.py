"""Adaptations, one a file: what a tuner may change in a network.

- ``components.py``: their declarations, with recommended learning rates.
- ``peft_adaptation.py``: what those that come from peft have in common.
- ``parts.py``: find the part of a network to change, and freeze the rest.
"""
