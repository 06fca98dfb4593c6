"""Find components by name and settle their parameters."""
