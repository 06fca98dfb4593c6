"""Training objectives: what is optimised, one half of a tuner."""
