"""One file for each collection."""
