"""Sets of the Hugging Face Hub in its cache on this machine: which revision, and where."""

from __future__ import annotations

import re
from pathlib import Path

from robench import DataError

COMMIT = re.compile("[0-9a-f]{40}")


def commit_of(repository: str, revision: str) -> str:
    """Return the commit that a branch or tag means: in the cache, else on the Hub, else the name itself."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HFValidationError

    if COMMIT.fullmatch(revision):
        return revision
    kept = Path(constants.HF_HUB_CACHE) / f"datasets--{repository.replace('/', '--')}" / "refs" / revision
    if kept.is_file() and COMMIT.fullmatch(text := kept.read_text(encoding="utf-8").strip()):
        return text
    if constants.HF_HUB_OFFLINE:
        return revision
    try:
        return HfApi().dataset_info(repository, revision=revision, timeout=10).sha or revision
    except HFValidationError as error:
        raise ValueError(f"{error}") from None
    except Exception:  # without a network its client raises errors of several libraries
        return revision


def snapshot(repository: str, revision: str, typed: str, *, fetch: bool) -> Path:
    """Return the folder of a set in the Hub's cache.

    Args:
        typed: What to type in its place, to read a folder.
        fetch: Fetch what is not there.

    Raises:
        DataError: It is not there, and not to be had; the message says what to pass.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                repository, repo_type="dataset", revision=revision, ignore_patterns=["*.py"], local_files_only=not fetch
            )
        )
    except Exception as error:  # without a network its client raises errors of several libraries
        raise DataError(
            f"dataset {repository!r} cannot be had from the Hugging Face Hub and is not in its cache; download it "
            f"where there is a network (hf download {repository} --repo-type dataset --local-dir DIR) and pass {typed}"
        ) from error
