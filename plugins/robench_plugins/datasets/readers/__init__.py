"""Read image files to ``uint8`` arrays, whatever form they come in; no reader executes anything from a file."""
