"""Models and surrogates."""
