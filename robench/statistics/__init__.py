"""What chance explains, and what it does not.

- ``calibration.py``: whether a network is as sure as it is right, with bootstrap intervals.
- ``corruptions.py``: accuracy on corrupted images, by corruption and by severity.
- ``intervals.py``: accuracies with their intervals, also class by class, and attack success.
- ``paired.py``: the comparison of two models on the same images.
- ``ranks.py``: ranks of many models by tests of all pairs.
- ``worst_case.py``: robust accuracy over several attacks.
"""
