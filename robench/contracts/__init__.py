"""What a plugin implements: one file per kind of component, and the nouns they share."""
