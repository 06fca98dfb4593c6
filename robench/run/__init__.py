"""One run: plan it, carry out its stages, and record what it found."""
