"""``python -m robench``."""

from robench.cli import main

main()
