"""Views of a table beside its attacks: all threats in one row, one norm, corruptions, calibration.

A view ranks nothing: its rows stand in the order of the table. A column holds figures of one kind on the same images,
so that it can be read from top to bottom; what a method lacks is missing, and counted in a note.

| file | what it does |
|---|---|
| ``view.py`` | what a view is |
| ``choose.py`` | the views by name |
| ``threats.py`` | all threats in one row, and the attacks of one norm |
| ``corruptions.py``, ``calibration.py`` | the views of these names |
| ``write.py`` | writes views for a terminal, as Markdown, LaTeX, CSV and JSON |
| ``profile.py`` | draws all threats as a dot plot |
"""
