"""Nothing of ours waits without a limit: the waits of all that serves are listed here, each with its bound.

A wait for one of the sidecar's own coroutines is bounded by the waits in that one; listed are those for all else.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "sidecar"
SERVING = (
    *(
        "app.py",
        "lifetime.py",
        "signals.py",
        "config",
        "http",
        "observing",
        "rescoring",
        "scoring",
        "serving",
        "workers",
    ),
)
AMBIGUOUS = {"close", "start", "wait", "read", "write", "write_eof", "prepare", "request", "send", "open", "one"}
"""Names of own coroutines that others' objects have, too: waits for them are listed."""

BOUNDS: dict[str, set[str]] = {
    "a time that is given on the spot": {
        "config.reload._pause: asyncio.wait_for",
        "http.bodies._by: asyncio.timeout_at",
        "http.bodies._next: asyncio.timeout",
        "http.client.Upstream.fetch: asyncio.timeout",
        "http.handover.lead_away: asyncio.sleep",
        "http.listener.RunningServer.drain: asyncio.timeout",
        "http.listener.RunningServer.drain: asyncio.wait_for",
        "http.liveness.Liveness._until_alive: asyncio.sleep",
        "http.places.Places._freed: asyncio.timeout",
        "http.places.Places._wait: asyncio.timeout",
        "http.proxy._Exchange._copy: asyncio.timeout",
        "http.response.RawResponse._within: asyncio.timeout",
        "http.tls.ServerContext.watch: asyncio.sleep",
        "observing.watchdog.Watchdog.beating: asyncio.sleep",
        "observing.watchdog.Watchdog.looking: asyncio.sleep",
        "rescoring.deadline.Deadline.meet: asyncio.wait",
        "rescoring.lists.Lists.others_done: asyncio.wait",
        "rescoring.shadow.Shadow._compare: asyncio.timeout",
        "scoring.local.engine.Engine._in_time: asyncio.wait_for",
        "scoring.local.engine.Engine.close: asyncio.wait_for",
        "app.Sidecar.drain: asyncio.sleep",
        "app.loaded_in_the_end: asyncio.sleep",
        "http.listener.RunningServer.take: asyncio.get_running_loop().connect_accepted_socket",  # a handshake's 60 s
        "scoring.shared.shared_scorer.SharedScorer.score: asyncio.wait_for",
        "workers.serving._First._drain: asyncio.sleep",
        "workers.supervisor.Supervisor._after: asyncio.sleep",
        "workers.supervisor.Supervisor._look: asyncio.sleep",
        "workers.supervisor.Supervisor.families: asyncio.timeout",
    },
    "the timeout around it": {
        "scoring.shared.shared_scorer._Connection.ask: waiting",  # the request's deadline
        "workers.supervisor.Supervisor.families: asyncio.gather",
        "http.bodies._next: request.content.readany",  # upstream.read_timeout and total_timeout
        "http.places.Places._freed: self._free.acquire",  # upstream.pool_timeout
        "http.proxy._Exchange._copy: writing",  # upstream.read_timeout
        "http.response.RawResponse._within: writing",  # upstream.read_timeout
        "rescoring.shadow.Shadow._compare: self._gate",
        "http.listener.RunningServer.drain: site.stop",  # shutdown.grace_period
    },
    "upstream.total_timeout, read_timeout and connect_timeout, which aiohttp keeps": {
        "http.client.Upstream._attempt: self._session.request",
        "http.client.Upstream.fetch: self.open",
        "http.client._read: response.content.iter_any",
        "http.proxy._Exchange._copy: content.iter_any",
        "http.proxy._Exchange.forward: self._upstream.open",
        "http.liveness.Liveness._until_alive: self._probe",
    },
    "a place that is free, or pool_timeout": {
        "http.client.Upstream.open: self._places[kind].one",
        "http.places.Places.one: self._free.acquire",
    },
    "nothing is waited for: no more than a head, or what ends an answer, is written": {
        "http.bodies._continue: writer.write",
        "http.client_request.RawRequest._start_body: writer.write",
        "http.proxy._Exchange._copy: answer.write_eof",
        "http.proxy._Exchange._stream: answer.prepare",
    },
    "the search's deadline, which waits for it, or Elasticsearch's time for the client's own search": {
        "rescoring.async_search._as_it_came: send",
        "rescoring.fetching._looked_up: send",
        "rescoring.fetching.ask: send",
        "rescoring.msearch_fetch._windows: taking",
        "rescoring.msearch_fetch._complete: asyncio.gather",
        "rescoring.msearch_fetch._complete.whole: gate",  # those that hold it have deadlines
    },
    "the longest `timeout`, which bounds look-ups": {
        "rescoring.matching.Matcher._once: known[key]",
        "rescoring.point_in_time.PointsInTime.names: asyncio.shield",
        "rescoring.resolver.IndexResolver._known_or_asked: asyncio.shield",
        "rescoring.server.Server.dialect: asyncio.shield",
        "rescoring.msearch.MultiSearch.__call__: asyncio.gather",
        "rescoring.templates.MultiSearchTemplate.__call__: asyncio.gather",
        "rescoring.templates.MultiSearchTemplate._plan: gate",
    },
    "work that is linear in max_search_body or max_search_answer, in threads that do nothing else": {
        "http.bodies.decoded: asyncio.to_thread",
        "rescoring.aside.aside: asyncio.to_thread",
        "rescoring.aside.at_last: loop.run_in_executor",
    },
    "what it runs: own coroutines": {
        "http.bodies.without_override: body",
        "rescoring.rescorer.Rescorer._handled: self._handlers[route.endpoint.name]",
        "rescoring.rescorer.Rescorer.search: incoming.read",
        "rescoring.search.with_mapping: answer",
        "scoring.local.engine.Engine.score_many: asyncio.gather",
        "scoring.shared.shared_scorer.SharedScorer.score_many: asyncio.gather",
        "scoring.local.engine.Engine._in_time: future",  # of callers that set no deadline: no search is one
        "serving.admin._asking_for.ask: handler",
        "serving.pages._Pages.guarded.guard: page",
        "serving.own_loop.OwnLoop.run: asyncio.wrap_future",
    },
    "the page's own time limit; on loopback or with the admin token": {
        "serving.own_client.OwnClient.search: asyncio.timeout",
        "serving.own_client.OwnClient.search: self._gate",
        "serving.own_client.OwnClient.search: self._session",
        "serving.own_client._asked: answer.content.iter_any",
        "serving.own_client._asked: session.post",
        "serving.pages._Pages.judge: request.read",
        "serving.pages._Pages.search: request.read",
    },
    "a small file": {
        "config.reload.ConfigSource._reload: asyncio.to_thread",
        "config.reload.ConfigSource.watch: asyncio.to_thread",
        "http.tls.ServerContext.watch: asyncio.to_thread",
    },
    "nothing is waited for: both ends are here": {
        "http.binding._tcp_sockets: asyncio.get_running_loop().create_server",
        "scoring.shared.scoring_server.ScoringServer.serve: asyncio.get_running_loop().create_connection",
        "scoring.shared.shared_scorer.SharedScorer.connect: asyncio.get_running_loop().create_connection",
    },
    "another process of ours: what does not answer for a minute is ended, and its end is known": {
        "workers.child._run: begun",
        "workers.process.Process.begin: asyncio.create_subprocess_exec",
        "workers.process.Process.ended: self._child.wait",
        "workers.process.Process.report: answer",
        "workers.supervisor.Supervisor._news: self.changed.wait",
        "workers.supervisor.Supervisor.end_all: asyncio.gather",
    },
    "the process: it is for this that it runs, starts, or ends within its grace period": {
        "app.Sidecar._unload: self.scorer.close",
        "app.Sidecar.close: self._stack.aclose",
        "app.Sidecar.load: self.scorer.start",
        "app.Sidecar._start_clients: self.upstream.start",
        "app._first: asyncio.wait",
        "app._serve: sidecar.close",
        "app._serve: sidecar.start",
        "app._serve: stop.wait",
        "app.watching: watch",
        "app.running: sidecar.close",
        "app.running: sidecar.start",
        "config.reload.ConfigSource.watch: wait(asked) if wait else _pause(asked, interval)",
        "http.binding.bind: runner.cleanup",
        "http.binding.bind: site.start",
        "http.client.Upstream.close: self._liveness.close",
        "http.client.Upstream.close: self._session.close",
        "http.connections.Connections.emptied: self._emptied.wait",
        "http.listener.RunningServer.close: self.runner.cleanup",
        "http.listener._set_up: runner.setup",
        "http.liveness.Liveness.close: asyncio.gather",
        "rescoring.rescorer.Rescorer.close: self._shadow.close",
        "rescoring.shadow.Shadow.close: asyncio.gather",
        "scoring.cross_encoder.CrossEncoder._end: asyncio.gather",
        "scoring.cross_encoder.CrossEncoder._end: self._engine.close",
        "scoring.local.engine.Engine.start: work",
        "serving.own_loop._cancel_others: asyncio.gather",
        "workers.child.ScoringProcess._load: self._scorer.start",
        "workers.child.ScoringProcess.run: asyncio.wait",
        "workers.child.ScoringProcess.run: self._scorer.close",
        "workers.child.ScoringProcess.run: stopped",
        "workers.child.Worker.run: self._sidecar.close",
        "workers.child.Worker.run: self.stopping.wait",
        "workers.serving._First._drain: self._dealer.close",
        "workers.serving._First._start: self._supervisor.start",
        "workers.serving._First._until_stopped: asyncio.wait",
        "workers.serving._First._until_stopped: stopped",
        "workers.serving._First.run: self._stack.aclose",
    },
    "what is waited for within it; a node that is found dead ends it": {
        "http.liveness.Liveness.waiting: asyncio.timeout",
    },
}


def _files() -> list[Path]:
    found = [PACKAGE / name for name in SERVING]
    return sorted(file for path in found for file in ([path] if path.suffix else path.rglob("*.py")))


TREES = {".".join(file.relative_to(PACKAGE).with_suffix("").parts): ast.parse(file.read_text()) for file in _files()}
OWN = {node.name for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)}


def _awaited(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Await):
        yield node.value
    elif isinstance(node, ast.AsyncWith):
        yield from (item.context_expr for item in node.items)
    elif isinstance(node, ast.AsyncFor):
        yield node.iter


def _within(tree: ast.AST, name: str) -> Iterator[tuple[str, ast.expr]]:
    """Yield what is waited for below a node, with the name of the function that does."""
    for node in ast.iter_child_nodes(tree):
        named = isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef | ast.ClassDef)
        inner = f"{name}.{node.name}" if named else name  # type: ignore[attr-defined]
        yield from ((inner, value) for value in _awaited(node))
        yield from _within(node, inner)


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def waits() -> set[str]:
    """Return the waits for what is not a coroutine of the sidecar's own: where, and for what."""
    found = set()
    for module, tree in TREES.items():
        for function, value in _within(tree, module):
            waited = value.func if isinstance(value, ast.Call) else value
            if not isinstance(value, ast.Call) or _name(waited) not in OWN - AMBIGUOUS:
                found.add(f"{function}: {ast.unparse(waited)}")
    return found


def test_every_wait_has_a_bound() -> None:
    known = set().union(*BOUNDS.values())
    assert waits() - known == set(), "these wait: for how long at the most?"
    assert known - waits() == set(), "nothing waits like this any more"


def test_each_wait_has_one_bound() -> None:
    assert sum(map(len, BOUNDS.values())) == len(set().union(*BOUNDS.values()))
