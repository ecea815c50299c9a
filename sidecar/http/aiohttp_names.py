"""The private names of aiohttp that this package uses: why its version is pinned below the next minor.

Overridden or read where its public interface has no way to send bytes as they came, to end idle connections, or to
learn of an unfinished body. A test compares this table with the sources, and with the aiohttp that is installed.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping

import aiohttp
from aiohttp import web, web_protocol
from aiohttp.http import StreamWriter
from aiohttp.payload import BytesPayload
from aiohttp.web_protocol import RequestHandler

NAMES: Mapping[type, frozenset[str]] = {
    aiohttp.ClientRequest: frozenset({"_body", "_get_content_length", "_session", "_timer", "_writer"}),
    BytesPayload: frozenset({"_value"}),
    RequestHandler: frozenset({"_current_request", "_manager", "_messages", "_task_handler"}),
    StreamWriter: frozenset({"_headers_buf", "_headers_written"}),
    web.Server: frozenset({"_kwargs", "_loop"}),
    web.StreamResponse: frozenset(
        {
            *("_eof_sent", "_headers", "_keep_alive", "_must_be_empty_body", "_payload_writer", "_prepare_headers"),
            *("_reason", "_req", "_send_headers_immediately", "_status", "_write_headers"),
        }
    ),
    web.TCPSite: frozenset({"_server"}),
}
MODULE_NAMES = frozenset({"_ErrInfo"})
"""Names of ``aiohttp.web_protocol``."""


def missing() -> list[str]:
    """Return the names that the installed aiohttp does not have."""
    lost = [f"{kind.__name__}.{name}" for kind, names in NAMES.items() for name in sorted(names - _private(kind))]
    return lost + [name for name in sorted(MODULE_NAMES) if not hasattr(web_protocol, name)]


def _private(kind: type) -> frozenset[str]:
    """Return the private attributes that a class and its bases have or set."""
    return frozenset(_found(kind))


def _found(kind: type) -> Iterator[str]:
    for base in inspect.getmro(kind):
        yield from vars(base)
        if base.__module__.startswith("aiohttp."):
            yield from re.findall(r"\bself\.(_\w+)", inspect.getsource(base))
