"""The dataset `folder`: images in class folders, or in a table of files and labels.

`dataset` is what robench calls, `listing` looks through folders, `manifest` reads a table instead, `index` opens every
file once, and `dividing` makes training, validation and test images of them.
"""

from robench_plugins.datasets.folder.dataset import Alike, Folder, FolderParams, Size

__all__ = ["Alike", "Folder", "FolderParams", "Size"]
