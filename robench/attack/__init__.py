"""Adversarial images that can be believed: made by an attack, then projected, rounded and checked by the core."""
