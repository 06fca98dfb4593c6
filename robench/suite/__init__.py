"""Suites: protocols of the field as data, the runs that they ask for, and their table (``robench suite``).

| file | what it does |
|---|---|
| ``definition.py`` | what a suite says, read from a TOML file, and the hash of its content |
| ``reading.py`` | reads TOML files, and says their first fault in one line |
| ``shelf.py`` | finds suites by name: those of plugins, and files of one's own |
| ``places.py`` | where the files of data sets lie, and which data sets are not there |
| ``parts.py`` | the runs of one method: which data sets each trains on and scores |
| ``scores.py`` | which figures of records are figures of a suite |
| ``averages.py`` | averages over data sets with their intervals |
| ``table.py`` | the table, and the same as JSON |
| ``python.py`` | runs from Python, of a suite or not: ``robench.run`` and ``robench.evaluate`` |
| ``published.py`` | what papers report, beside what was measured |
"""
