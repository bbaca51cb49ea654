"""Small servers that behave like the providers, for the demo and for tests. They know nothing of the rest of Taske."""
