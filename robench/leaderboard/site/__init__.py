"""The leaderboard as a web page that needs no network.

| file | what it does |
|---|---|
| ``overview.py`` | the data of the whole page: tables, curves, matrices |
| ``cite.py`` | papers and BibTeX |
| ``detail.py`` | the data of one run |
| ``gallery.py`` | the sample images of one run |
| ``pages.py`` | all files of the page, by name |
| ``write.py`` | writes them into a folder (``robench leaderboard --format html``) |
| ``serve.py`` | serves them and keeps them up to date (``robench serve``) |
| ``index.html.j2``, ``assets/`` | the page itself, and its scripts and style |
| ``vendor/`` | Chart.js |
"""
