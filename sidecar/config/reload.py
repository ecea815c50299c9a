"""The configuration file as a source that is watched: SIGHUP and file changes load it anew.

The file's content is compared, not its time stamps: a Kubernetes ConfigMap swaps a symlink in the path,
editors rename a new file over the old one, and both may keep size and time. The file is a few kilobytes.
A change is taken once two looks in a row find the same: a file that is being written is not read half.
A configuration that is wrong is told once, counted, and changes nothing: the last good one stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from sidecar.config.loader import NO_OVERRIDES, load
from sidecar.config.model import Config
from sidecar.errors import ConfigError

_log = logging.getLogger("sidecar.config")

NEEDS_RESTART = ("listen", "admin", "upstream", "engine", "workers", "shutdown", "log_level")
"""Sections that long-lived objects are built from at start."""


NOTHING_MAPPED = "no index is mapped: every search passes through (name indices and their fields under `indices`)"
"""What is said of a configuration that rescores nothing."""

_NO_SIGNALS = (AttributeError, NotImplementedError, RuntimeError, ValueError)


class ConfigSource:
    """A configuration file, and what became of its changes. ``overrides`` are the command line's."""

    def __init__(self, path: Path, environ: Mapping[str, str], overrides: Mapping[str, Any] = NO_OVERRIDES) -> None:
        self.path = path
        self._environ = environ
        self._overrides = overrides
        self._current: Config | None = None
        self._seen: bytes | None = None
        self._found: bytes | None = None
        self._reloads = 0
        self._failures = 0

    def load(self) -> Config:
        """Read the file.

        Raises:
            ConfigError: it cannot be read, or is wrong.
        """
        self._seen = self._found = self._fingerprint()
        self._current = load(self.path, self._environ, self._overrides)
        return self._current

    def stats(self) -> dict[str, float]:
        """Return the counters, for the metrics."""
        return {"reloads_total": float(self._reloads), "failures_total": float(self._failures)}

    async def watch(
        self,
        apply: Callable[[Config], None],
        *,
        interval: float = 1.0,
        wait: Callable[[asyncio.Event], Awaitable[None]] | None = None,
    ) -> None:
        """Hand each valid new configuration to ``apply``, until cancelled.

        ``wait`` returns when it is time to look again; by default after ``interval`` seconds or on SIGHUP,
        which sets the event given to it.
        """
        async with _hangup() as asked:
            while True:
                await (wait(asked) if wait else _pause(asked, interval))
                forced = asked.is_set()
                asked.clear()
                if await asyncio.to_thread(self._changed) or forced:
                    self._seen = self._found
                    await self._reload(apply)

    def _changed(self) -> bool:
        """Return whether the file differs from what was loaded last, and stands still."""
        before, self._found = self._found, self._fingerprint()
        return self._found == before and self._found != self._seen

    def _fingerprint(self) -> bytes | None:
        try:
            return blake2b(self.path.read_bytes()).digest()
        except OSError:
            return None

    async def _reload(self, apply: Callable[[Config], None]) -> None:
        try:
            loaded = await asyncio.to_thread(load, self.path, self._environ, self._overrides)
            config, pending = carry_over(self._current, loaded)
            apply(config)
        except ConfigError as error:
            self._failures += 1
            _log.error("configuration not reloaded, the last good one stays: %s", "; ".join(error.problems))
            return
        self._current = config
        self._reloads += 1
        _log.info("configuration reloaded from %s", self.path)
        if not config.indices:
            _log.warning(NOTHING_MAPPED)
        if pending:
            _log.warning("configuration changed that needs a restart: %s", ", ".join(pending))


def carry_over(running: Config | None, loaded: Config) -> tuple[Config, list[str]]:
    """Return the configuration to run now, and the sections of ``loaded`` that wait for a restart. Pure.

    Raises:
        ConfigError: an index mapping names a model that only a restart would load, or all mappings are gone.
    """
    if running is None:
        return loaded, []
    pending = [name for name in NEEDS_RESTART if getattr(loaded, name) != getattr(running, name)]
    problems = ["no `indices`: the file looks cut short"] if _emptied(running, loaded) else []
    problems += [
        f'indices.{pattern}.model: "{mapping.model}" is not loaded; new models need a restart'
        for pattern, mapping in loaded.indices.items()
        if mapping.model is not None and mapping.model not in running.engine.models
    ]
    if problems:
        raise ConfigError(problems)
    return loaded.model_copy(update={name: getattr(running, name) for name in pending}), pending


def _emptied(running: Config, loaded: Config) -> bool:
    """Return whether the mappings are gone without a word: a file that means it says `indices: {}`."""
    return bool(running.indices) and "indices" not in loaded.model_fields_set


async def _pause(asked: asyncio.Event, interval: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asked.wait(), interval)


@contextlib.asynccontextmanager
async def _hangup() -> AsyncIterator[asyncio.Event]:
    """Yield an event that SIGHUP sets; where signals is not available (another thread, Windows) it never is."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    with contextlib.suppress(*_NO_SIGNALS):
        loop.add_signal_handler(signal.SIGHUP, asked.set)
    try:
        yield asked
    finally:
        with contextlib.suppress(*_NO_SIGNALS):
            loop.remove_signal_handler(signal.SIGHUP)
