"""Run a network: evaluate it, fold its batch norms, compile it, and find batches that fit into memory."""
