"""A comparison in a file: rows times seeds, run wherever there is room, and shown as one table (``robench sweep``).

| file | what it does |
|---|---|
| ``plan.py`` | reads the definition and plans every run before anything starts |
| ``choose.py`` | chooses settings of rows on validation images |
| ``cost.py`` | says which runs are missing and what they cost (``--dry-run``) |
| ``local.py`` | carries out the missing runs on this machine |
| ``workers.py`` | the processes that carry out runs side by side |
| ``ray_engine.py`` | carries them out on a Ray cluster |
| ``slurm.py`` | writes a script that carries them out on a Slurm cluster |
| ``summary.py`` | averages the records of each row over its seeds |
| ``summary_table.py`` | shows these averages as a table |
"""
