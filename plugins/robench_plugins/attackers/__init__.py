"""Attacks, one a file: PGD is in ``pgd.py``.

- ``components.py``: their declarations.
- ``params.py``: parameters that several attacks share.
- ``iterated.py``: what attacks have in common that torchattacks computes step by step.
- ``eight_bit.py``: 8-bit images within a ball, for attacks that choose among images.
- ``n_classes.py``: the number of classes of a network.
- ``torchattacks/``: the other attacks of torchattacks, by their names there.
"""
