"""What a Python user imports: typed calls to a Taske service, and tasks written as code. Knows no actors, no database.

Everything is decided without I/O, in generators that yield what to send or how long to wait; `Taske` and `AsyncTaske`
are two thin faces that carry it out.
"""
