"""`taske up`: one process that starts, watches and ends everything else, and itself never loads Ray."""
