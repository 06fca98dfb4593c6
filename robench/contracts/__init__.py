"""What a plugin implements, one file a kind of component, and the nouns they share.

- ``dataset.py``, ``model.py``, ``attacker.py``, ``tuning.py``, ``logger.py``, ``constraint.py``: the interfaces.
- ``setting.py``: what a tuner is told of the network and the run.
- ``params.py``: the parameters of a component, and how they are validated.
- ``configured.py``: what all components have in common.
- ``context.py``: what a component is told about the run, and how it reports progress.
- ``hookspecs.py``: the hooks that a plugin may implement.
- ``types.py``: components, threat models, names as typed, and distances in pixels.

Plugins import these names from ``robench``.
"""
