"""Share results with other people and other harnesses: merge, submit, import and export records."""
