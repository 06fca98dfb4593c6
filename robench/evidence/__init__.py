"""Look again at what is recorded: verify, compare, reproduce and certify records."""
