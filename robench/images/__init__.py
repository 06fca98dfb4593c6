"""Images as arrays: labelled sets, sets larger than memory, augmentation."""
