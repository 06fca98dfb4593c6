"""From records to ranked tables.

A record goes through these files in this order. **Ranks are computed in ``ranking.py``**, by the paired tests of
``robench/statistics/ranks.py``:

| file | what it does |
|---|---|
| ``read.py`` | reads many records and flattens them |
| ``flatten.py`` | turns one record into rows of numbers and labels |
| ``schema.py`` | the columns of these rows |
| ``index.py`` | keeps the rows from one call to the next, so that only new records are read |
| ``ranking.py`` | decides which runs are comparable and which are one method, sorts methods and ranks them |
| ``naming.py`` | calls methods by name, and names what they were trained against and their papers |
| ``methods.py`` | a row: a method with its runs, accuracies and intervals |
| ``tables.py`` | turns a ranking into a table |
| ``text.py`` | writes tables for a terminal and as Markdown |
| ``export.py`` | writes tables as CSV and JSON |
| ``views/`` | shows of the same rows all threats, one norm, corruptions or calibration |
| ``frame.py`` | ``robench.leaderboard``, a DataFrame |
| ``site/`` | shows tables as a web page, written to a folder or served |
"""

import robench

robench._make_callable(__name__)
