"""Two users of different rights walk the same lists at the same time: neither sees, or is moved by, what is not theirs.

The rights are kept by a STAND-IN: a guard before a real node that filters documents, fields and indices by
`Authorization`, as document- and field-level security do, which the node's free licence lacks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from sidecar.app import Sidecar
from sidecar.config.model import Config
from sidecar.scoring.local.engine import Engine
from sidecar.scoring.scorer import ScoreRequest, Scores
from tests.end_to_end.conftest import connect
from tests.end_to_end.test_features import create

JSON = {"Content-Type": "application/json", "X-Elastic-Product": "Elasticsearch"}
TEXT = {"type": "text"}
PROPERTIES = {"properties": {"title": TEXT, "secret": TEXT, "owner": {"type": "keyword"}}}
PAGES = [(0, 4), (4, 4), (2, 7), (8, 12)]


@dataclass(frozen=True)
class Rights:
    """What a user may see: whose documents, without which fields, and what an alias is to them."""

    owners: tuple[str, ...]
    hidden: frozenset[str] = frozenset()
    indices: Mapping[str, str] = field(default_factory=dict)


USERS = {
    "alice": Rights(("alice", "both"), frozenset({"secret"}), {"library": "papers"}),
    "bob": Rights(("bob", "both")),
}


class Guard:
    """Sends requests on to a node as far as their user's rights go."""

    def __init__(self, node: str) -> None:
        self.node = node

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        rights = USERS.get(request.headers.get("Authorization", ""))
        if rights is None:
            return web.json_response({"error": {"type": "security_exception"}, "status": 401}, status=401)
        first, _, rest = request.path_qs[1:].partition("/")
        path = f"/{rights.indices.get(first, first)}{'/' if rest else ''}{rest}"
        body = _allowed(request.path, await request.read(), rights)
        async with (
            aiohttp.ClientSession() as session,
            session.request(request.method, self.node + path, data=body, headers=JSON if body else {}) as answer,
        ):
            shown = _shown(await answer.json(), rights)
            return web.Response(status=answer.status, body=json.dumps(shown), headers=JSON)


def _allowed(path: str, body: bytes, rights: Rights) -> bytes:
    """Return a request's body with its searches filtered by owner."""
    if path.endswith("/_msearch"):
        lines = body.split(b"\n")[:-1]
        lines[1::2] = [_filtered(line, rights) for line in lines[1::2]]
        return b"\n".join(lines) + b"\n"
    return _filtered(body, rights) if path.endswith("/_search") else body


def _filtered(body: bytes, rights: Rights) -> bytes:
    search = json.loads(body or b"{}")
    query = search.get("query", {"match_all": {}})
    search["query"] = {"bool": {"must": [query], "filter": [{"terms": {"owner": list(rights.owners)}}]}}
    return json.dumps(search).encode()


def _shown(answer: Any, rights: Rights) -> Any:
    """Return an answer without hidden fields, wherever they stand."""
    if isinstance(answer, dict):
        return {name: _shown(value, rights) for name, value in answer.items() if name not in rights.hidden}
    return [_shown(value, rights) for value in answer] if isinstance(answer, list) else answer


class Noting(Engine):
    """The engine, which keeps what it is asked to score."""

    seen: list[ScoreRequest]

    async def score(self, request: ScoreRequest) -> Scores:
        """Score, and keep the request."""
        self.seen.append(request)
        return await super().score(request)


@contextlib.asynccontextmanager
async def guarded(node: str) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", Guard(node).handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def before(guard: str, checkpoint: Path) -> AsyncIterator[tuple[str, Noting]]:
    """Run a sidecar of its own, with all its caches empty."""
    listener = {"host": "127.0.0.1", "port": 0}
    mapping = {"window_size": 10, "timeout": "60s", "budget": False}
    indices = {"papers": mapping | {"fields": ["title", "secret"]}, "vault": mapping | {"fields": ["secret"]}}
    settings = {"listen": listener, "admin": listener, "upstream": {"urls": [guard]}, "indices": indices}
    config = Config.model_validate(settings | {"engine": {"model": str(checkpoint)}})
    engine = Noting(config.engine)
    engine.seen = []
    sidecar = Sidecar(config, engine)
    await sidecar.start()
    try:
        await sidecar.load()
        yield sidecar.url, engine
    finally:
        await sidecar.close()


@pytest.fixture(scope="module")
def node(elasticsearch_url: str) -> str:
    """The URL of a node with documents of either user and of both, and an alias of two indices."""
    documents = [
        {"title": f"quick fox {'den ' * (i % 5)}{i}", "secret": f"hidden{owner} brown dog {i}", "owner": owner}
        for i in range(12)
        for owner in ("alice", "bob", "both")
    ]
    create(elasticsearch_url, "papers", PROPERTIES, documents)
    create(elasticsearch_url, "vault", PROPERTIES, documents[:6])
    with connect(elasticsearch_url) as client:
        client.indices.put_alias(index=["papers", "vault"], name="library")
    return elasticsearch_url


async def ask(url: str, user: str, target: str, body: Any) -> tuple[str, Any]:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Authorization": user, "Content-Type": "application/json"}
    async with aiohttp.ClientSession() as session, session.post(url + target, data=sent, headers=headers) as answer:
        said = answer.headers.get("X-Rescore", "")
        return said, json.loads(await answer.read())


def hits(answer: Any) -> list[Any]:
    found = [each["hits"]["hits"] for each in answer.get("responses", [answer])]
    return [[(hit["_index"], hit["_id"], hit["_score"], hit.get("_source")) for hit in listed] for listed in found]


def searches(user: str) -> list[tuple[str, Any]]:
    """Return the pages of some lists; the user's name in the query tells whose texts are scored for it."""
    query = {"match": {"title": f"fox {user}"}}
    pages = [{"query": query, "from": from_, "size": size} for from_, size in PAGES]
    hidden = [page | {"_source": ["title"]} for page in pages]
    lines = b"".join(b'{"index":"papers"}\n' + json.dumps(page).encode() + b"\n" for page in pages)
    return [
        *(("/papers/_search", page) for page in pages),
        *(("/papers/_search", page) for page in hidden),  # `secret` has to be looked up
        *(("/library/_search", page) for page in pages),
        ("/_msearch", lines),
    ]


async def walked(url: str, *users: str) -> dict[str, list[Any]]:
    """Walk the lists of users, each search at the same time as that of the others."""
    seen: dict[str, list[Any]] = {user: [] for user in users}
    for asked in zip(*map(searches, users), strict=True):
        answers = await asyncio.gather(*(ask(url, user, *search) for user, search in zip(users, asked, strict=True)))
        for user, (said, answer) in zip(users, answers, strict=True):
            seen[user].append((said, hits(answer)))
    return seen


async def test_two_users_of_different_rights_neither_see_nor_move_each_other_s_hits(
    node: str, checkpoint: Path
) -> None:
    async with guarded(node) as guard:
        alone: dict[str, list[Any]] = {}
        for user in USERS:
            async with before(guard, checkpoint) as (url, _):
                alone |= await walked(url, user)
        async with before(guard, checkpoint) as (url, engine):
            together = await walked(url, *USERS)
            again = await walked(url, *reversed(USERS))
            asked = engine.seen
    assert together == alone
    assert again == alone
    said = {user: [header.partition(";")[0] for header, _ in pages] for user, pages in together.items()}
    assert set(said["alice"]) == {"reranked"}  # of the alias, too: to her it is one index
    assert [header for header, _ in together["bob"]][8:12] == ["passed; reason=mixed_mappings"] * 4
    for user, rights in USERS.items():
        shown = [hit for _, pages in together[user] for listed in pages for hit in listed]
        assert {source.get("owner") for *_, source in shown if "owner" in source} <= set(rights.owners)
        texts = [text for request in asked if user in request.query for text in request.documents]
        assert texts
        for other in {"alice", "bob"} - {user}:
            assert f"hidden{other}" not in json.dumps(shown) + " ".join(texts)
    texts = [text for request in asked if "alice" in request.query for text in request.documents]
    assert "hidden" not in " ".join(texts)
    assert "hiddenbob" in " ".join(text for request in asked if "bob" in request.query for text in request.documents)


async def test_what_one_user_s_credentials_resolve_to_is_not_what_another_s_do(node: str, checkpoint: Path) -> None:
    async with guarded(node) as guard, before(guard, checkpoint) as (url, _):
        search = {"query": {"match": {"title": "fox"}}, "size": 3}
        said = [(await ask(url, user, "/library/_search", search))[0] for user in ("alice", "bob", "eve", "alice")]
    assert said[0] == said[3]
    assert said[0].startswith("reranked")
    assert said[1] == "passed; reason=mixed_mappings"
    assert said[2] == "passed; reason=no_mapping"
