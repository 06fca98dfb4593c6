"""A report of runs with tables and figures (``robench report``).

| file | what it does |
|---|---|
| ``chapter.py`` | the chapter of one run |
| ``comparison.py`` | the chapter that compares several runs |
| ``classification.py`` | precision, recall and F1 of each class |
| ``parts.py`` | chapters, sections, tables and pictures, whatever they are written as |
| ``write.py`` | writes chapters as HTML and as Markdown |
"""
