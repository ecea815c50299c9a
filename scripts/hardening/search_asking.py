"""Asks the node and the sidecar the same, page by page, and has the answers judged."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import yarl

from hardening import search_world
from hardening.search_answers import Outcome, Reply, Taken, responses, settled, text
from hardening.search_cases import Case
from hardening.search_laws import Page, Question, Violation, of_list, of_page, of_texts, text_of
from hardening.search_queries import size_matters
from hardening.search_world import World
from sidecar.config.fusion import Fusion
from sidecar.config.model import IndexMapping
from sidecar.reasons import Reason
from sidecar.rescoring.mappings import Match, match
from sidecar.rescoring.resolver import configured_name

_JSON = {"Content-Type": "application/json"}
_NDJSON = {"Content-Type": "application/x-ndjson"}
_OF_BODIES = ("Content-Type", "Content-Encoding")
_NOWHERE = {"no_mapping", "mixed_mappings", "pit_unknown"}
_RESOLVING = ("expand_wildcards", "ignore_unavailable", "allow_no_indices")


@dataclass
class Checked:
    """What became of a case's searches, and what broke a law."""

    counts: Counter[str] = field(default_factory=Counter)
    violations: list[Violation] = field(default_factory=list)


class Asker:
    """Checks cases under the mappings that ``use`` was given last."""

    def __init__(self, session: aiohttp.ClientSession, node: str, sidecar: str, world: World) -> None:
        self.node = node
        self._session = session
        self._sidecar = sidecar
        self._world = world
        self._indices: dict[str, IndexMapping] = {}
        self._rounds = 0

    def use(self, indices: dict[str, Any]) -> None:
        """Take the mappings of the next round."""
        self._indices = {name: IndexMapping.model_validate(value) for name, value in indices.items()}
        self._rounds += 1

    async def check(self, made: Case) -> Checked:
        """Ask all that a case asks, and judge it."""
        checked = Checked()
        pit = await self._open(made) if made.pit else ""
        if made.pit and not pit:
            return checked
        walks = await asyncio.gather(*(self._walk(made, walk, pit) for walk in made.walks))
        mapped = await self._mapped(made)
        question = await self._question(made, walks, pit, mapped)
        for page in (page for pages in walks for page in pages):
            checked.counts[_counted(made, page)] += 1
            checked.violations += of_page(page, question)
            checked.violations += self._of_mapping(made, page, mapped)
        if all(start == 0 and pages > 1 for start, _, pages in made.walks):
            checked.violations += of_list(walks, question)
        checked.violations += of_texts(walks, question)
        if made.twin is not None:
            checked.violations += await self._of_twin(made, walks[0][0], mapped)
        if checked.violations and not await self._steady(made, walks, pit):
            return replace(checked, violations=[], counts=checked.counts + Counter(["the node wavers"]))
        return checked

    async def _open(self, made: Case) -> str:
        base = self.node if made.pit == "node" else self._sidecar
        path = f"/{made.expression or '_all'}/_pit?keep_alive=5m"
        reply = await self._ask(base, "POST", path, b"", {})
        return str(json.loads(reply.body).get("id", "")) if reply.status == 200 else ""

    async def _walk(self, made: Case, walk: tuple[int, int, int], pit: str) -> list[Page]:
        start, size, count = walk
        if made.kind == "msearch":
            return await self._several(made, [(start + i * size, size) for i in range(min(count, 12))])
        pages = []
        for i in range(count):
            page = await self._page(made, start + i * max(size, 0), size, pit)
            pages.append(page)
            if page.direct.taken is None or not page.direct.taken.hits:
                break
        return pages

    async def _page(self, made: Case, start: int, size: int, pit: str) -> Page:
        place = (None, None) if start < 0 else (start, size)
        target = made.target(*place)
        direct, through = await asyncio.gather(
            *(
                self._ask(base, made.method, target, made.spelled(content), made.sent_headers(ours=ours) | _JSON)
                for base, ours in ((self.node, False), (self._sidecar, True))
                for content in [made.content(*place, ours=ours, pit=pit)]
            )
        )
        outcome = Outcome.read(through.headers.get("x-rescore", ""))
        partial = "filter_path" in made.params and await self._partial(made, start, size, pit)
        return Page(max(start, 0), 10 if start < 0 else size, direct, through, outcome, partial)

    async def _partial(self, made: Case, start: int, size: int, pit: str) -> bool:
        """Ask the node whether it answers a page in part, which its filtered answer may not tell."""
        place = (None, None) if start < 0 else (start, size)
        whole = replace(made, params={name: value for name, value in made.params.items() if name != "filter_path"})
        body = whole.spelled(whole.content(*place, ours=False, pit=pit))
        headers = whole.sent_headers(ours=False) | _JSON
        reply = await self._ask(self.node, whole.method, whole.target(*place), body, headers)
        return reply.taken is not None and reply.taken.partial

    async def _several(self, made: Case, pages: Sequence[tuple[int, int]]) -> list[Page]:
        """Ask for several pages in one `_msearch`."""
        places = [(None, None) if start < 0 else (start, size) for start, size in pages]
        header = json.dumps(_header(made)).encode()
        bodies = [
            b"".join(header + b"\n" + made.spelled(made.content(*place, ours=ours)) + b"\n" for place in places)
            for ours in (False, True)
        ]
        direct, through = await asyncio.gather(
            self._ask(self.node, "POST", "/_msearch", bodies[0], made.headers | _NDJSON),
            self._ask(self._sidecar, "POST", "/_msearch", bodies[1], made.headers | _NDJSON),
        )
        if direct.status != 200 or through.status != 200:
            outcome = Outcome.read(through.headers.get("x-rescore", ""))
            return [Page(max(pages[0][0], 0), pages[0][1], direct, through, outcome)]
        kind = "any" if "x-rescore" in through.headers else ""
        sized = [(max(start, 0), 10 if start < 0 else size) for start, size in pages]
        return [
            Page(start, size, _item(old), _item(new), Outcome(kind, window=self._window(made, size)))
            for (start, size), old, new in zip(sized, _items(direct), _items(through), strict=True)
        ]

    def _window(self, made: Case, size: int) -> int:
        """Return the largest window that any mapping here gives a search; where its size matters, it is the page's."""
        asked = (made.ours or {}).get("window_size")
        largest = int(asked or max((each.window_size for each in self._indices.values()), default=0))
        return min(largest, size) if size_matters(made.body) else largest

    async def _ask(self, base: str, method: str, target: str, body: bytes, headers: dict[str, str]) -> Reply:
        headers = headers if body else {name: value for name, value in headers.items() if name not in _OF_BODIES}
        headers = headers | {"Authorization": f"ApiKey {self._rounds}"}  # lists of other mappings are others
        body = gzip.compress(body) if headers.get("Content-Encoding") else body
        url = yarl.URL(base + target, encoded=True)
        async with self._session.request(method, url, data=body or None, headers=headers) as answer:
            found = {name.lower(): value for name, value in answer.headers.items()}
            return Reply(answer.status, found, await answer.read())

    async def _mapped(self, made: Case) -> list[Any] | None:
        """Return the mapping of each index that is searched; None where that cannot be told."""
        if any(name.startswith("al-") for name in self._indices) or made.kind == "msearch":
            return None
        params = {name: value for name, value in made.params.items() if name in _RESOLVING}
        asked = "&".join(["fields=_id", *(f"{name}={value}" if value else name for name, value in params.items())])
        path = f"{made.path().removesuffix('/_search')}" if not made.pit else f"/{made.expression or '_all'}"
        reply = await self._ask(self.node, "GET", f"{path}/_field_caps?{asked}", b"", {})
        names = json.loads(reply.body).get("indices", []) if reply.status == 200 else []
        names = [name for name in names if not made.pit or name not in search_world.EMPTY]
        found = [match(self._indices, [configured_name(name)]) for name in names]
        return [each.mapping if isinstance(each, Match) else None for each in found] or None

    def _of_mapping(self, made: Case, page: Page, mapped: list[Any] | None) -> list[Violation]:
        if mapped is None or page.direct.status != 200:
            return []
        one = mapped[0] is not None and all(each == mapped[0] for each in mapped)
        if page.outcome.kind == "reranked" and not one:
            return [Violation("rescored under a mapping that is not that of all", f"{made.expression}")]
        if page.outcome.reason in _NOWHERE and one:
            return [Violation(f"one mapping, but {page.outcome.reason}", f"{made.expression}")]
        return []

    async def _question(
        self, made: Case, walks: Sequence[Sequence[Page]], pit: str, mapped: list[Any] | None
    ) -> Question:
        window = max((page.outcome.window for pages in walks for page in pages), default=0)
        mappings = [each for each in mapped or [*self._indices.values()] if each is not None]
        one = mappings[0] if mappings and all(each == mappings[0] for each in mappings) else None
        return Question(
            pools=await self._pools(made, window, pit, {pages[0].size for pages in walks}) if window else {},
            texts={} if one is None else self._texts(one),
            size_matters=size_matters(made.body),
            cut="min_score" in (made.ours or {}),
            replaces=one is not None and _is_plain((made.ours or {}).get("fusion", one.fusion)),
            reasons=frozenset(Reason),
            collapse=made.body.get("collapse", {}).get("field"),
            neighbours="knn" in made.body,
        )

    def _texts(self, mapping: IndexMapping) -> dict[tuple[str, str, str], str]:
        fields = [each.name for each in mapping.fields]
        return {name: text_of(document, fields) for name, document in self._world.documents.items()}

    async def _pools(self, made: Case, window: int, pit: str, sizes: set[int]) -> dict[int, Taken]:
        """Return the node's list as far as the window, for each size of pages."""
        asked = {size: size if made.size_matters else window for size in sizes}
        lists = {hits: await self._pool(made, hits, pit) for hits in set(asked.values())}
        return {size: found for size, hits in asked.items() if (found := lists[hits]) is not None}

    async def _pool(self, made: Case, window: int, pit: str) -> Taken | None:
        if made.kind == "msearch":
            header = json.dumps(_header(made)).encode()
            body = header + b"\n" + made.spelled(made.content(0, window, ours=False)) + b"\n"
            reply = await self._ask(self.node, "POST", "/_msearch", body, made.headers | _NDJSON)
            taken = _item(_items(reply)[0]).taken if reply.status == 200 else None
        else:
            body = made.spelled(made.content(0, window, ours=False, pit=pit))
            reply = await self._ask(self.node, "POST", made.target(0, window), body, made.headers | _JSON)
            taken = reply.taken
        return None if taken is None or taken.partial else taken

    async def _of_twin(self, made: Case, page: Page, mapped: list[Any] | None) -> list[Violation]:
        """The same hits shown otherwise come in the same order."""
        by_highlight = any(each.text_from == "highlight" for each in self._indices.values())
        twin = replace(made, body=made.body | (made.twin or {}))
        if by_highlight or made.kind != "search" or size_matters(made.body) or size_matters(twin.body):
            return []
        start, size = made.walks[0][:2]
        other = await self._page(twin, start, size, "")
        if _names(page.direct) != _names(other.direct):
            return []  # the node itself shows other hits
        one, two = _names(page.through), _names(other.through)
        if one is None or two is None or page.outcome.kind != other.outcome.kind:
            return [] if page.outcome.kind == other.outcome.kind else [_decides(made, page, other)]
        return [] if one == two else [Violation("what is shown decides the order", f"{one} became {two}")]

    async def _steady(self, made: Case, walks: Sequence[Sequence[Page]], pit: str) -> bool:
        """Return whether the node answers the same once more."""
        if made.kind == "msearch":
            again = [await self._several(made, [(page.start, page.size) for page in pages]) for pages in walks]
        else:
            again = [await self._walk(made, walk, pit) for walk in made.walks]
        old = [settled(page.direct.body) for pages in walks for page in pages]
        return old == [settled(page.direct.body) for pages in again for page in pages]


def _names(reply: Reply) -> list[tuple[str, str, str]] | None:
    taken = reply.taken
    return None if taken is None else [hit.name for hit in taken.hits]


def _decides(made: Case, page: Page, other: Page) -> Violation:
    seen = f"{page.outcome} became {other.outcome} with {json.dumps(made.twin)}"
    return Violation("what is shown decides whether it is rescored", seen)


def _header(made: Case) -> dict[str, Any]:
    return {} if made.expression is None else {"index": made.expression.split(",")}


def _items(reply: Reply) -> list[str]:
    return responses(text(reply.body))


def _item(raw: str) -> Reply:
    return Reply(int(json.loads(raw)["status"]), {}, raw.encode("utf-8", "surrogateescape"))


def _counted(made: Case, page: Page) -> str:
    return " ".join(filter(None, (made.kind, page.outcome.kind, page.outcome.reason)))


def _is_plain(fusion: Any) -> bool:
    """Return whether the model alone decides order and scores."""
    found = Fusion.model_validate(fusion)
    return found.method == "replace" and not found.keep_sure
