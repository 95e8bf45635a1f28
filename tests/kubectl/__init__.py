"""A real kubectl's outputs, recorded; see README.md."""
