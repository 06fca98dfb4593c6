"""Evidence that a robustness number can be believed, one file a kind of check."""
