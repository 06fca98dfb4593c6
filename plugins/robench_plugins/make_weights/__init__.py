"""The programs that made the weights that come with robench.

- ``clip_tiny.py``: the command that pretrains a small CLIP; ``clip_tiny_architecture.py`` is the network.
- ``source.py``: captioned images, from ``leaf_source.py`` or ``cifar10_source.py``.
- ``captions.py``, ``augmentation.py``, ``objective.py``, ``muon.py``, ``teachers.py``: tokenizer, changes of images,
  losses, optimiser and teachers of that training.
- ``zero_shot.py``: its accuracy; ``checkpoint.py``: its files.
- ``resnet.py``: the command that trains the ResNet-20 for leaf-synth.
"""
