"""The pages for people on the admin listener: compare both orders of a search, and see how the sidecar is.

What they show is asked of the listener that clients use. Pages and scripts come from the package and say nothing of
what runs; all else asks for the admin token, or, without one, is there on loopback only.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from sidecar.config.listeners import AdminListener
from sidecar.config.model import DEFAULT_MODEL, Config, IndexMapping
from sidecar.serving.judgments import FullError, Judgments, folder
from sidecar.serving.own_client import NoAnswerError, OwnClient, base_url

_STATIC: Final = Path(__file__).parent / "static"
_FILES: Final = {
    "/": ("compare.html", "text/html"),
    "/compare.js": ("compare.js", "text/javascript"),
    "/hits.js": ("hits.js", "text/javascript"),
    "/common.js": ("common.js", "text/javascript"),
    "/style.css": ("style.css", "text/css"),
    "/status": ("status.html", "text/html"),
    "/status.js": ("status.js", "text/javascript"),
}
OPEN: Final = frozenset(_FILES)
"""What is served without a token."""
MOST_SENT: Final = 4 << 20
"""Bytes of a request to the admin listener."""
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_OFF: Final = "the pages are off: admin.host is not a loopback address, and admin.token is not set"
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_GRADES: Final = range(4)
_JSON_ONLY: Final = "send application/json, from a page of this listener"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """What the pages show. Each is called on the admin listener's thread, and gives values that nothing changes.

    Attributes:
        config: the configuration in force.
        port: where clients are served; 0 for a Unix socket, or as long as they are not.
    """

    config: Callable[[], Config]
    port: Callable[[], int]


def routes(running: Running) -> list[web.RouteDef]:
    """Return the routes of the pages; where they are off, one that says so."""
    admin = running.config().admin
    if not (loopback(admin) or admin.token):
        return [web.get("/", _off), web.get("/status", _off)]
    pages = _Pages(running)
    return [
        *(web.get(path, pages.file) for path in _FILES),
        web.get("/api/context", pages.guarded(pages.context)),
        web.post("/api/search", pages.guarded(pages.search)),
        web.get("/api/judgments", pages.guarded(pages.judged)),
        web.put("/api/judgments", pages.guarded(pages.judge)),
    ]


def loopback(admin: AdminListener) -> bool:
    """Return whether a listener is reached from its own machine only."""
    if admin.socket is not None or admin.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(admin.host).is_loopback
    except ValueError:
        return False


async def _off(_: web.Request) -> web.Response:
    return _problem(_OFF, 404)


def _problem(message: str, status: int) -> web.Response:
    return web.json_response({"error": message}, status=status, headers=_HEADERS)


Page = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Pages:
    def __init__(self, running: Running) -> None:
        self._running = running
        admin = running.config().admin
        self._token = admin.token is not None
        self._hosts = _LOOPBACK_NAMES | {admin.host}
        self._any_host = self._token or admin.socket is not None
        self._client = OwnClient(running.config().listen)
        self._where = folder(admin.judgments)

    async def file(self, request: web.Request) -> web.Response:
        name, type_ = _FILES[request.path]
        text = (_STATIC / name).read_text("utf-8")
        return web.Response(text=text, content_type=type_, charset="utf-8", headers=_HEADERS)

    def guarded(self, page: Page) -> Page:
        """Return the page that other web sites cannot have a browser ask for.

        A site whose name was made to mean this machine is told by its `Host`, any other by what it may not send.
        """

        async def guard(request: web.Request) -> web.StreamResponse:
            try:
                host = urlsplit(f"//{request.headers.get('Host', '')}").hostname
            except ValueError:
                host = None
            if not self._any_host and host not in self._hosts:
                return _problem(f"open the page under one of: {', '.join(sorted(self._hosts))}", 403)
            foreign = request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none")
            if foreign or (request.method != "GET" and request.content_type != "application/json"):
                return _problem(_JSON_ONLY, 415)
            try:
                return await page(request)
            except NoAnswerError as problem:
                return _problem(str(problem), 502)
            except OSError as problem:
                return _problem(f"judgments cannot be kept: {problem}: set admin.judgments", 500)
            except ValueError as problem:
                return _problem(str(problem), 400)

        return guard

    async def context(self, _: web.Request) -> web.Response:
        config = self._running.config()
        found = {
            "url": base_url(config.listen, self._running.port()),
            "socket": config.listen.socket,
            "models": [DEFAULT_MODEL, *config.engine.models],
            "fusions": config.fusions_told(),
            "mappings": {name: _mapping(mapping) for name, mapping in config.indices.items()},
            "config": config.model_dump(mode="json", exclude_defaults=True),
        }
        return web.json_response(found, headers=_HEADERS)

    async def search(self, request: web.Request) -> web.Response:
        """Search as a client, and return what came: status, body, and the headers that tell of the rescoring."""
        index = request.query.get("index", "").strip()
        if not index:
            raise ValueError("name an index")
        port = self._running.port()
        if not port and self._running.config().listen.socket is None:
            raise NoAnswerError("clients are not served yet: try again in a moment")
        authorization = request.headers.get("X-Elasticsearch-Authorization")
        shown = await self._client.search(port, index, await request.read(), authorization)
        headers = {**_HEADERS, **shown.headers, "X-Elasticsearch-Status": str(shown.status)}
        return web.Response(body=shown.body, content_type="application/json", headers=headers)

    async def judged(self, request: web.Request) -> web.Response:
        kept = Judgments(self._where, request.query.get("index", ""))
        return _grades(kept, kept.of(request.query.get("query", "")))

    async def judge(self, request: web.Request) -> web.Response:
        given = json.loads(await request.read())
        named = [given.get(name) if isinstance(given, dict) else None for name in ("index", "query", "document")]
        texts = [text for text in named if isinstance(text, str) and text.strip()]
        if len(texts) != len(named):
            raise ValueError("a judgment has an index, a query, and a document")
        grade = given.get("grade")
        if grade is not None and (isinstance(grade, bool) or grade not in _GRADES):
            raise ValueError(f"a grade is a whole number from {_GRADES[0]} to {_GRADES[-1]}, or null")
        kept = Judgments(self._where, texts[0])
        try:
            return _grades(kept, kept.judge(texts[1], texts[2], grade))
        except FullError as problem:
            return _problem(str(problem), 507)


def _grades(kept: Judgments, grades: Mapping[str, int]) -> web.Response:
    files = {"queries": str(kept.queries_file), "qrels": str(kept.qrels_file)}
    return web.json_response({"grades": grades, **files}, headers=_HEADERS)


def _mapping(mapping: IndexMapping) -> dict[str, Any]:
    return {
        "fields": [field.name for field in mapping.fields],
        "window_size": mapping.window_size,
        "max_window_size": max(mapping.window_size, mapping.overrides.max_window_size),
        "timeout_ms": round(mapping.timeout * 1000),
        "model": mapping.model or DEFAULT_MODEL,
        "mode": mapping.mode,
        "allow": list(mapping.overrides.allow),
    }
