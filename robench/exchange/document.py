"""One exported file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robench.errors import DataError
from robench.storage.whole_file import write_new


@dataclass(frozen=True, kw_only=True)
class Document:
    """One JSON file.

    Attributes:
        name: Its path in the folder of exports, with ``/``.
        content: What the file says.
    """

    name: str
    content: dict[str, Any]

    def write(self, folder: Path) -> Path:
        """Write the file into `folder` and return its path; an identical file is left alone.

        Raises:
            DataError: Another file has this name, or the disk is full or read-only.
        """
        path = folder / self.name
        text = json.dumps(self.content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_new(path, text)
        except FileExistsError:
            if not path.is_file() or path.read_text(encoding="utf-8", errors="replace") != text:
                raise DataError(f"{path} exists with other content and is not overwritten") from None
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror}") from None
        return path


def part(text: str) -> str:
    """Return `text` with only characters that are safe in a file name."""
    return re.sub(r"[^\w.-]", "-", text).lstrip(".") or "-"
