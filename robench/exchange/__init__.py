"""Share results with other people and with other harnesses.

| file | what it does |
|---|---|
| ``merge.py`` | takes the records of other people into a folder (``robench merge``) |
| ``incoming.py`` | reads and checks records and samples of other people |
| ``same_run.py`` | compares two records of the same run |
| ``contribution.py`` | decides what may be submitted, and what a pull request may change (``robench submit``) |
| ``formats.py`` | writes and reads files of other harnesses (``robench export``, ``robench import``) |
| ``robustbench.py`` | the format of RobustBench |
| ``clip_benchmark.py`` | the format of CLIP_benchmark |
| ``document.py`` | one exported file |
| ``published.py`` | figures that others published, as rows of a sweep |
"""
