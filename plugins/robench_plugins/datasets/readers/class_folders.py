"""Read images that lie in folders named for their classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from robench import DataError

from robench_plugins.datasets.readers.decode import decode
from robench_plugins.datasets.readers.folders import contents, files_below, is_hidden, is_named_as_image, note

PARTS = ("train", "test")


class FolderSource:
    """``train/CLASS/*.png`` and ``test/CLASS/*.png``."""

    class_names = None

    def __init__(self, root: Path, class_names: tuple[str, ...]) -> None:
        self._files: dict[str, list[Path]] = {}
        self._labels: dict[str, NDArray[np.int64]] = {}
        left_out = [path for path in sorted(root.iterdir()) if path.name not in PARTS]
        for part in PARTS:
            folders, beside, hidden = contents(root / part)
            found = {path.name for path in folders}
            if found != set(class_names):
                odd = sorted(found.symmetric_difference(class_names))
                raise DataError(f"{root / part} should hold the folders {', '.join(class_names)}; check {odd[0]!r}")
            groups = []
            for name in class_names:
                files, unseen = files_below(root / part / name)
                images = [path for path in files if is_named_as_image(path)]
                if not images:
                    raise DataError(f"{root / part / name} holds no images; expected files such as *.jpg")
                groups.append(images)
                left_out += [*unseen, *(path for path in files if not is_named_as_image(path))]
            left_out += [*beside, *hidden]
            self._files[part] = [path for group in groups for path in group]
            self._labels[part] = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
        hidden = [path for path in left_out if is_hidden(path)]
        others = [path for path in left_out if not is_hidden(path)]
        self.notes = (*note("hidden files left out", hidden, root), *note("files left out", others, root))

    @classmethod
    def open(cls, root: Path, class_names: tuple[str, ...]) -> FolderSource | None:
        """Return a source if `root` has ``train`` and ``test`` folders.

        Raises:
            DataError: Their class folders are not `class_names`, or one is empty.
        """
        if not all((root / part).is_dir() for part in PARTS):
            return None
        return cls(root, class_names)

    def labels(self, part: str) -> NDArray[np.int64]:
        """Return all labels of `part`, ``int64 (N,)``, class by class."""
        return self._labels[part]

    def images(self, part: str, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Decode the images at `positions` to ``uint8 (n, 3, H, W)``."""
        files = [self._files[part][position] for position in positions]
        if strange := next((path for path in files if not path.is_file()), None):
            raise DataError(f"{strange} is no regular file, or a link to nothing; expected an image")
        return decode((path.read_bytes() for path in files), range(len(files)), f"{part} image")
