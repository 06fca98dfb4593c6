"""Training objectives, one a file: what a tuner optimises.

- ``components.py``: their declarations.
- ``mixed.py``: objectives of clean and adversarial images in a given proportion.
- ``contrastive.py``: what objectives have in common that compare images with class prompts.
"""
