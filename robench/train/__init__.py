"""The one training loop, and tuners that combine an adaptation with an objective."""
