"""Which server is behind the sidecar: as configured, or as its own answers say."""

from __future__ import annotations

import asyncio
from typing import Final

from sidecar.config.model import DialectName
from sidecar.elasticsearch.dialect import DIALECTS, ELASTICSEARCH, Dialect, spoken
from sidecar.elasticsearch.upstream import LookUp, UpstreamAnswer
from sidecar.errors import UpstreamError
from sidecar.rescoring.aside import aside

_ROOT: Final = "/"


class Server:
    """Remembers the dialect of the server behind the sidecar. ``configured`` is `upstream.dialect`."""

    def __init__(self, configured: DialectName) -> None:
        self._known = DIALECTS.get(configured)
        self._asking: asyncio.Task[Dialect | None] | None = None

    async def dialect(self, look_up: LookUp) -> Dialect:
        """Return the dialect; one that nothing has told yet is asked for once (`GET /`), for all who want to know.

        A server that does not say is taken for an Elasticsearch, and asked again by the next search.
        """
        if self._known is not None:
            return self._known
        if self._asking is None:
            self._asking = asyncio.create_task(_asked(look_up))
        try:
            self._known = await asyncio.shield(self._asking)
        finally:
            self._asking = None
        return self._known or ELASTICSEARCH


async def _asked(look_up: LookUp) -> Dialect | None:
    try:
        answer: UpstreamAnswer = await look_up("GET", _ROOT, None)
        return await aside(len(answer.body), spoken, answer)
    except UpstreamError:
        return None  # the search itself will tell the client what is wrong
