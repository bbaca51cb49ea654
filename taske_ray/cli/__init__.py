"""The command line: the top of the graph, imported by nobody. Commands import what they need when they are called."""
