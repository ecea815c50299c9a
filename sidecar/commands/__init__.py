"""One module for each command, imported only when that command runs.

Each has ``add_arguments(parser)`` and ``run(args) -> int``.
"""

COMMANDS = {
    "serve": "run the sidecar in front of a cluster",
    "demo": "see BM25 and rescored hits side by side, on the standard library's docs or your own file",
    "check-config": "validate a configuration file, optionally against the live cluster",
    "doctor": "try everything a search needs here: ports, cluster, model, speed",
    "eval": "measure the ranking before and after rescoring, with your judgments",
    "train": "fine-tune a model on your judgments, and measure it on queries held out",
    "score": "score texts against a query, without Elasticsearch",
    "models": "list, fetch and check models",
    "completion": "print a script that completes these commands in a shell",
}
"""Each command's name and what it does."""


def module_of(command: str) -> str:
    """Return the name of a command's module."""
    return f"sidecar.commands.{command.replace('-', '_')}"
