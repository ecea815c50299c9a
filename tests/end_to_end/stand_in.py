"""A STAND-IN upstream: a real node, with the endpoints before it that the node's published jars lack.

Search templates, async search, scripts, learning to rank and compound retrievers are modules that Elasticsearch does
not publish. They are imitated here as the reference documents them, upon the real node's own `_search` and
`_msearch`; all else is the real node.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

JSON = {"Content-Type": "application/json", "X-Elastic-Product": "Elasticsearch"}


class StandIn:
    """Answers like Elasticsearch with its `lang-mustache` and `async-search` modules; ``seen`` are its requests."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.seen: list[str] = []
        self.running = False
        self.stored: dict[str, bytes] = {}
        self.templates: dict[str, str] = {}
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        self.seen.append(request.path)
        body = await request.read()
        words = [word for word in request.path.split("/") if word]
        if not words:
            return await self._node(request.method, request.path_qs, body)
        if words[-2:] == ["_render", "template"]:
            return self._render(body)
        if words[-2:] == ["_search", "template"]:
            return await self._search_template(request, body)
        if words[-2:] == ["_msearch", "template"]:
            return await self._msearch_template(request, body)
        if words[-1] == "_rank_eval":
            return await self._rank_evaluation(request, json.loads(body))
        if words[-1] == "_async_search":
            return await self._submit(request, body)
        if words[0] == "_async_search":
            return self._get(words[1])
        if words[-1] == "_search" and body:
            return await self._with_modules(request, json.loads(body))
        return await self._node(request.method, request.path_qs, body)

    async def _node(self, method: str, path: str, body: bytes) -> web.Response:
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.node + path, data=body, headers=JSON if body else {}) as answer,
        ):
            return web.Response(status=answer.status, body=await answer.read(), headers=JSON)

    async def _with_modules(self, request: web.Request, asked: dict[str, Any]) -> web.Response:
        """Answer a search whose modules the node lacks: the order is that of the first query in it."""
        ranking = next(iter((asked.pop("rank", None) or asked.get("retriever") or {"": {}}).values()))
        limit = ranking.get("rank_window_size", 10_000)
        if asked.get("size", 10) > limit:
            refusal = {"error": {"type": "action_request_validation_exception"}, "status": 400}
            return web.Response(status=400, body=json.dumps(refusal), headers=JSON)
        if limit < 10_000:
            asked["query"] = _first_query(asked.pop("retriever", asked))
            asked["size"] = min(asked.get("size", 10), limit - asked.get("from", 0))
        if "learning_to_rank" in asked.get("rescore", {}):
            del asked["rescore"]
        asked.pop("sub_searches", None)
        scripts = asked.pop("script_fields", {})
        if scripts:
            asked.setdefault("_source", False)
        answer = await self._node("POST", request.path_qs, json.dumps(asked).encode())
        return _with_scripts(answer, list(scripts))

    def _rendered(self, body: bytes) -> Any:
        asked = json.loads(body)
        source = asked.get("source", self.templates.get(asked.get("id", "")))
        if source is None:
            raise KeyError("template")
        text = source if isinstance(source, str) else json.dumps(source)
        text = re.sub(r"\{\{(\w+)\}\}", lambda found: str(asked.get("params", {}).get(found[1], "")), text)
        return json.loads(text)

    def _render(self, body: bytes) -> web.Response:
        try:
            return web.Response(body=json.dumps({"template_output": self._rendered(body)}, indent=1), headers=JSON)
        except (KeyError, ValueError):
            return web.Response(status=404, body=b'{"error":{"type":"resource_not_found_exception"}}', headers=JSON)

    def _search(self, body: bytes) -> bytes:
        asked = json.loads(body)
        flags = {"explain": asked.get("explain", False), "profile": asked.get("profile", False)}
        return json.dumps(self._rendered(body) | flags).encode()

    async def _search_template(self, request: web.Request, body: bytes) -> web.Response:
        try:
            search = self._search(body)
        except (KeyError, ValueError):
            return self._render(body)
        return await self._node("POST", request.path_qs.replace("/template", ""), search)

    async def _msearch_template(self, request: web.Request, body: bytes) -> web.Response:
        lines = body.split(b"\n")[:-1]
        items: list[Any] = []
        for header, template in zip(lines[::2], lines[1::2], strict=True):
            try:
                sent = header + b"\n" + self._search(template) + b"\n"
            except (KeyError, ValueError):
                items.append({"error": {"type": "resource_not_found_exception"}, "status": 404})
                continue
            answer = await self._node("POST", request.path_qs.replace("/template", ""), sent)
            items += json.loads(answer.body or b"")["responses"]  # type: ignore[arg-type]  # made of bytes above
        return web.Response(body=json.dumps({"took": 1, "responses": items}), headers=JSON)

    async def _submit(self, request: web.Request, body: bytes) -> web.Response:
        kept = request.query.get("keep_on_completion") == "true"
        path = re.sub(r"[?&](keep_on_completion|wait_for_completion_timeout)=\w+", "", request.path_qs)
        answer = await self._node("POST", path.replace("_async_search", "_search"), body)
        if answer.status != 200:
            return answer
        name = f"id{len(self.stored)}="
        if kept or self.running:
            self.stored[name] = bytes(answer.body or b"")  # type: ignore[arg-type]  # made of bytes above
        return self._envelope(bytes(answer.body or b""), name if kept or self.running else None)  # type: ignore[arg-type]

    def _envelope(self, response: bytes, name: str | None) -> web.Response:
        state = b'"is_partial":%s,"is_running":%s,"start_time_in_millis":1,"response":' % (
            (b"true", b"true") if self.running else (b"false", b"false")
        )
        opening = b"{" if name is None else b'{"id":"%s",' % name.encode()
        return web.Response(body=opening + state + response + b"}", headers=JSON)

    async def _rank_evaluation(self, request: web.Request, asked: dict[str, Any]) -> web.Response:
        """Search for each request; what is refused is a failure of its own."""
        templates = {each["id"]: each["template"] for each in asked.get("templates", ())}
        found: dict[str, dict[str, Any]] = {"details": {}, "failures": {}}
        for each in asked["requests"]:
            made = {**templates.get(each.get("template_id"), {}), "params": each.get("params", {})}
            search = each["request"] if "request" in each else self._rendered(json.dumps(made).encode())
            path = request.path.replace("_rank_eval", "_search")
            answer = json.loads((await self._node("POST", path, json.dumps(search).encode())).body or b"")  # type: ignore[arg-type]
            if "error" in answer:
                found["failures"][each["id"]] = answer
            else:
                found["details"][each["id"]] = [hit["_id"] for hit in answer["hits"]["hits"]]
        return web.Response(body=json.dumps(found), headers=JSON)

    def _get(self, name: str) -> web.Response:
        if name not in self.stored:
            return web.Response(status=404, body=b'{"error":{"type":"resource_not_found_exception"}}', headers=JSON)
        return self._envelope(self.stored[name], name)


def _first_query(node: Any) -> Any:
    """Return the first query in a tree of retrievers."""
    if isinstance(node, dict) and "query" in node:
        return node["query"]
    below = node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    return next((found for found in map(_first_query, below) if found is not None), None)


def _with_scripts(answer: web.Response, scripts: list[str]) -> web.Response:
    """Return each hit the values of its script fields, all of them 1."""
    if not scripts or answer.status != 200:
        return answer
    got = json.loads(answer.body or b"")  # type: ignore[arg-type]  # made of bytes above
    for hit in got["hits"]["hits"]:
        hit.setdefault("fields", {}).update({name: [1] for name in scripts})
    return web.Response(body=json.dumps(got), headers=JSON)


@asynccontextmanager
async def standing_in(node: str) -> AsyncIterator[StandIn]:
    """Run a stand-in on a free port."""
    stand_in = StandIn(node)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", stand_in.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert isinstance(site._server, asyncio.Server)
        stand_in.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
        yield stand_in
    finally:
        await runner.cleanup()
