"""Models and surrogates.

- ``components.py``: their declarations, with recommended settings.
- ``image_text.py``: what image-text models share; ``clip_network.py`` is the classifier, ``class_prompts.py`` its text,
  ``class_token_layer.py`` makes it faster, ``vision_towers.py`` reads towers that were published alone.
- ``clip.py``, ``clip_files.py``: CLIP and SigLIP of transformers.
- ``open_clip_model.py``, ``open_clip_files.py``, ``open_clip_towers.py``: models of open_clip.
- ``published.py``: names for published models.
- ``resnet.py``: the CIFAR ResNets; ``resnet_network.py`` is the network, ``resnet_training.py`` trains it.
- ``timm_classifier.py``: any classifier of timm.
- ``leaf_inception.py``, ``leaf_vit.py`` with ``leaf_vit_network.py``: the study's networks for leaves.
- ``resizing.py``: images at the size that a network expects.
- ``saved_weights.py``: weights from files; ``shipped.py``: weights that come with robench.
"""
