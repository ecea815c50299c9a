"""One module for each command, imported only when that command runs.

Each has ``add_arguments(parser)`` and ``run(args) -> int``.
"""
