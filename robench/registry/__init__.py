"""Find components by name, and settle their parameters.

- ``registry.py``: all components; names as typed become components with parameters.
- ``products.py``: the halves of a tuner, and what a model recommends for it.
- ``corrections.py``: what was typed, with a misspelt name put right.
- ``resolved.py``: a component with its parameters, ready to be built.
- ``constraints.py``: the constraint that an attack names.
- ``ensemble.py``: several surrogates as one.
- ``describe.py``: what ``robench describe`` shows.
- ``discovery.py``: load plugins one by one, and import the classes they declare.
- ``source_files.py``: hashes of the source of plugins, and plugins that are a single file.
"""
