"""Whether a component keeps the contract of its interface, told by trying it on a few images."""
