"""A real Elasticsearch for the length of the demo, through `scripts/elasticsearch` of this repository."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from sidecar.errors import StartupError

_SCRIPT = Path(__file__).parents[2] / "scripts" / "elasticsearch"
_OTHER_WAYS = "give a cluster of your own with --upstream URL, or start one with docker/compose.yaml"


@contextlib.asynccontextmanager
async def elasticsearch_node(script: Path = _SCRIPT) -> AsyncIterator[str]:
    """Start a node on a free port with a data directory of its own; give its URL; stop it and clean up.

    Raises:
        StartupError: it cannot start here; says what to do instead.
    """
    if not os.access(script, os.X_OK):
        raise StartupError(f"this installation carries no {script.name} script; {_OTHER_WAYS}")
    data = tempfile.mkdtemp(prefix="sidecar-demo-")
    try:
        yield await _start(script, data)
    finally:
        await _stop(script, data)


async def _start(script: Path, data: str) -> str:
    words = ("--background", "--port", "0", "--data", data)
    code, out, err = await _run(script, *words)
    url = next((word for word in reversed(out.split()) if word.startswith("http://")), None)
    if code != 0 or url is None:
        said = (err or out).strip() or f"it ended with {code}"
        raise StartupError(f"Elasticsearch did not start: {said}\n{_OTHER_WAYS}")
    return url


async def _stop(script: Path, data: str) -> None:
    await _run(script, "--stop", data)
    await asyncio.to_thread(shutil.rmtree, data, ignore_errors=True)


async def _run(script: Path, *words: str) -> tuple[int, str, str]:
    """Run the script in a session of its own, so that the terminal's Ctrl-C reaches us and not the node."""
    process = await asyncio.create_subprocess_exec(
        str(script),
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise
    return process.returncode or 0, out.decode(errors="replace"), err.decode(errors="replace")
