"""Does a component of a plugin keep the contract of its interface? (``robench check``)

| file | what it does |
|---|---|
| ``examine.py`` | builds one component and checks it by its kind; start here |
| ``finding.py`` | the result of one rule |
| ``datasets.py`` | the rules of a Dataset |
| ``models.py`` | the rules of a Model |
| ``parts.py`` | the rules of the parts that a model names |
| ``attacks.py`` | the rules of an Attacker |
| ``constraints.py`` | the rules of a Constraint |
| ``corruptions.py`` | the rules of a Corruption |
| ``defences.py`` | the rules of a Defence |
| ``tuners.py`` | the rules of a Tuner, and so of adaptations and objectives |
| ``terms.py`` | the rule of what an objective sums up |
| ``loggers.py`` | the rules of a Logger |
"""
