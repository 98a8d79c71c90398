"""The packages that Slicer lacks: what is there, what is missing, and how it gets there. Needs no package itself."""
