"""Does a component of a plugin keep the contract of its interface? (``robench check``)

| file | what it does |
|---|---|
| ``examine.py`` | builds one component and checks it by its kind; start here |
| ``finding.py`` | the result of one rule |
| ``datasets.py`` | the rules of a Dataset |
| ``models.py`` | the rules of a Model |
| ``attacks.py`` | the rules of an Attacker |
| ``tuners.py`` | the rules of a Tuner, and so of adaptations and objectives |
| ``loggers.py`` | the rules of a Logger |
"""
