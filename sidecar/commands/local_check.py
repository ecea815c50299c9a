"""Is what the configuration names on this machine: TLS files, devices, models?"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from sidecar.commands.live_check import Finding
from sidecar.config.model import Config
from sidecar.errors import StartupError


def examine(config: Config) -> Iterator[Finding]:
    """Yield what is not as it should be; nothing where all is well."""
    yield from _tls(config)
    yield from _devices(config)
    for model in (config.engine.model, *(each.model for each in config.engine.models.values())):
        yield from _model(model)


def _tls(config: Config) -> Iterator[Finding]:
    from sidecar.http.tls import ServerContext, client_context

    for name, listener in (("listen", config.listen), ("admin", config.admin)):
        if listener.tls is not None:
            try:
                ServerContext.of(listener.tls)
            except StartupError as problem:
                yield Finding("error", f"{name}.tls: {problem}")
    try:
        client_context(config.upstream.tls)
    except StartupError as problem:
        yield Finding("error", f"upstream.tls: {problem}")


def _devices(config: Config) -> Iterator[Finding]:
    wanted = config.engine.device
    if wanted in ("auto", "cpu"):
        return
    if importlib.util.find_spec("torch") is None:
        yield Finding("error", f"engine.device: {wanted} needs the extra `torch`, which is not installed")
        return
    from sidecar.errors import ModelError
    from sidecar.scoring.local.backends.torch import devices

    try:
        devices(wanted)
    except ModelError as problem:
        yield Finding("error", str(problem))


def _model(name: str) -> Iterator[Finding]:
    if name == "bundled" or Path(name).is_dir():
        return
    if name.startswith((".", "/", "~")):
        yield Finding("error", f"the model {name!r} is not a directory on this machine")
    elif name.count("/") > 1 or not name.replace("/", "").strip():
        yield Finding("error", f"the model {name!r} is neither a directory here nor a hub id such as owner/name")
    elif not _cached(name):
        text = f"the model {name} is not on this machine: `serve` fetches it from the hub; `sidecar models pull {name}`"
        yield Finding("warning", text)


def _cached(name: str) -> bool:
    from sidecar.scoring.models import hub

    return hub.cached(name, None) is not None
