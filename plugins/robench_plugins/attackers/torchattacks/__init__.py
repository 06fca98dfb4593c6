"""Attacks from torchattacks: the catalogue, the call that keeps side effects out, and any attack by its name."""
