"""Images as arrays.

- ``image_set.py``: labelled 8-bit images, their hash, and conversions to and from pixels in ``[0, 1]``.
- ``memory_mapped.py``: sets larger than memory, kept on disk and worked through part by part.
- ``augmentation.py``: the recipes for random changes of training images.
"""
