"""One run for a person to read.

| file | what it does |
|---|---|
| ``show.py`` | a record as text (``robench show``) |
| ``per_image.py`` | what was answered for every image (``robench show --images``) |
| ``figures/`` | the figures of a run, one file each |
| ``report/`` | a report as HTML and Markdown (``robench report``) |
| ``transfer.py`` | who fools whom, over several runs (``robench transfer``) |
| ``grid.py`` | a table of text for a terminal, as Markdown, CSV or LaTeX |
"""
