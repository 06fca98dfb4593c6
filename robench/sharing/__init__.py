"""Results of several people: what comes in, what goes out, and what becomes of two records of one run."""
