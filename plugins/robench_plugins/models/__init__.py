"""Models and surrogates.

- ``components.py``: their declarations, with recommended settings.
- ``clip.py``: CLIP as a zero-shot classifier; ``clip_files.py`` reads it, ``class_token_layer.py`` makes it faster.
- ``resnet.py``: the CIFAR ResNets; ``resnet_network.py`` is the network, ``resnet_training.py`` trains it.
- ``timm_classifier.py``: any classifier of timm.
- ``leaf_inception.py``, ``leaf_vit.py`` with ``leaf_vit_network.py``: the study's networks for leaves.
- ``resizing.py``: images at the size that a network expects.
- ``saved_weights.py``: weights from files; ``shipped.py``: weights that come with robench.
"""
