"""A comparison in a file: plan its runs, tell their cost, carry them out, and summarise them."""
