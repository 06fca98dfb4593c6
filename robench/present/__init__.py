"""One run for a person to read: text, figures and the report."""
