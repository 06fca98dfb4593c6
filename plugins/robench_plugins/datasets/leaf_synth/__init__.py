"""The dataset `leaf-synth`: tomato leaves that are drawn, so it needs no files and no download.

`dataset` is what robench calls, `classes` says what each condition looks like, `scene` chooses what a picture
shows, `render` draws it, and `random_streams` makes the random numbers, the same on every machine.
"""

from robench_plugins.datasets.leaf_synth.dataset import LeafSynth

__all__ = ["LeafSynth"]
