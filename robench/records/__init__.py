"""The record of a run, and the folder that keeps records.

- ``spec.py``: what a run was asked to compute; its hash is the run ID.
- ``record.py``: what was measured: one JSON file a run; ``provenance.py``: what it was measured with.
- ``score.py``: how many images are right, and which.
- ``query_counts.py``: what a query attack asked, and accuracy against queries.
- ``limits.py``, ``consistency.py``: bounds of every value, and whether the figures fit each other.
- ``class_labels.py``: the labels of the scored images as text in a record.
- ``samples.py``: sample images, logits and all predictions of a run, in a file beside its record.
- ``labels.py``: attacks and tuners as typed, and the command that repeats a run.
- ``measurement.py``: what a run measured, dataset by dataset, and what two runs must share to be ranked together.
- ``store.py``: the folder of records; ``shared_store.py``: the same at a URL; ``listing.py``: its files.
"""
