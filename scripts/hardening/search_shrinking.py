"""Makes a case smaller, and writes it as a request that anyone can repeat. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from hardening.search_cases import Case


def smaller(made: Case) -> Iterator[Case]:
    """Yield cases that lack a part of this one, the largest parts first."""
    if len(made.walks) > 1:
        yield from (replace(made, walks=(walk,)) for walk in made.walks)
    start, size, pages = made.walks[0]
    if pages > 1 and len(made.walks) == 1:
        yield from (replace(made, walks=((start + skipped * max(size, 0), size, 1),)) for skipped in (0, 1, 2))
    if made.twin is not None:
        yield replace(made, twin=None)
    if made.ours is not None:
        yield replace(made, ours=None)
        yield from (replace(made, ours={k: v for k, v in made.ours.items() if k != name}) for name in made.ours)
    for name in made.body:
        if name != "query":
            yield replace(made, body={key: value for key, value in made.body.items() if key != name})
    for name in made.params:
        yield replace(made, params={key: value for key, value in made.params.items() if key != name})
    if made.spelling:
        yield replace(made, spelling="")
    if made.headers:
        yield replace(made, headers={})
    if made.pages_in_url and made.body:
        yield replace(made, pages_in_url=False)
    simple = {"match": {"title": "fox"}}
    if made.body.get("query", simple) != simple:
        yield replace(made, body=made.body | {"query": simple})


def as_curl(made: Case) -> str:
    """Return the case's first page as a command line; `$SIDECAR` is the sidecar's base URL."""
    start, size = (None if number < 0 else number for number in made.walks[0][:2])
    content = made.content(start, size, ours=True)
    body = " -d '" + json.dumps(content).replace("'", "'\\''") + "'" if content else ""
    headers = "".join(f" -H '{name}: {value}'" for name, value in made.sent_headers(ours=True).items())
    target = made.target(start, size)
    where = f"  # walks (start, size, pages): {made.walks}" + (f"; pit opened at the {made.pit}" if made.pit else "")
    where += f"; twin {json.dumps(made.twin)}" if made.twin else ""
    where += f"; body {made.spelling}" if made.spelling else ""
    where += "; as searches of an _msearch" if made.kind == "msearch" else ""
    return f"curl -X{made.method} \"$SIDECAR{target}\" -H 'Content-Type: application/json'{headers}{body}{where}"
