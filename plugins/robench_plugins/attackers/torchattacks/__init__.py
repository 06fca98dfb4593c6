"""The attacks of torchattacks by their names there.

- ``catalogue.py``: their list, as data.
- ``attack.py``: makes the class of an attack when it is asked for.
- ``call.py``: runs an attack of torchattacks without its side effects.
"""
