"""Source text as a tree, for tests that read the code."""

import ast
import gc


def parsed(source):
    """`ast.parse`, with the collector held: what it runs in between lets Python 3.11 lose count of its depth.

    It then raises SystemError, "AST constructor recursion depth mismatch", whatever the source.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        if collects:
            gc.enable()
