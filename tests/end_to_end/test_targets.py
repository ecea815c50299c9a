"""Request targets are read as the node reads them: it echoes decoded parameters in the errors that it answers."""

from __future__ import annotations

import json
import socket
from http.client import HTTPResponse
from random import Random
from urllib.parse import urlsplit

from sidecar.elasticsearch.target import parameters

PIECES = (
    b"a z = = & ; %41 %% % %4 %zz + %2B %26 %3D # ? \xc3\xa9 \xff %c3%a9 %ff %e2%82 %ed%a0%80 %f0%9f%98%80 %00 %0a %22 "
    b", timeout= timeout &timeout= %74imeout=x %c0%80 %f4%90%80%80 %f0%80%80 %e0%80a"
).split()


def ask(url: str, target: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send one request whose target no client would send, and return its status, headers and body."""
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) as connection:
        connection.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n")
        with HTTPResponse(connection) as answer:
            answer.begin()
            return answer.status, dict(answer.getheaders()), answer.read()


def echoed(reason: str, found: dict[str, str]) -> bool:
    """Return whether an error tells of exactly these parameters: a bad time, or names that are unknown."""
    others = sorted(f"[{name}]" for name in found if name != "timeout")
    if "with value [" in reason:
        return f"setting [timeout] with value [{found.get('timeout')}] as a time value" in reason
    *_, told = reason.partition("unrecognized parameter" + "s" * (len(others) > 1) + ": ")
    return all(name in told for name in others) and len(told) >= len(", ".join(others)) > 0


def test_generated_query_strings_are_read_as_the_node_reads_them(elasticsearch_url: str, articles: str) -> None:
    random = Random(7)
    refused = 0
    for _ in range(300):
        query = b"".join(random.choices(PIECES, k=random.randint(1, 9))) + b"&unknown=1" * random.randint(0, 1)
        _, _, body = ask(elasticsearch_url, b"/articles/_search?size=0&filter_path=error&" + query)
        error = json.loads(body).get("error", {})
        try:
            found = parameters("/?" + query.decode("utf-8", "surrogateescape"))
        except ValueError:
            assert error["type"] == "bad_parameter_exception", query
            refused += 1
            continue
        assert echoed(error["reason"], found) if error else not found, (query, error)
    assert 30 < refused < 200


def test_what_the_node_refuses_is_refused_by_the_node(sidecar_url: str, elasticsearch_url: str) -> None:
    for query in (b"%", b"size=%4", b"a%zz=1", b"q=fox&%", b"serverlessRequest=1"):
        for path in (b"/articles/_search", b"/articles/_msearch", b"/articles/_search/template", b"/articles/_pit"):
            through = ask(sidecar_url, path + b"?" + query)
            direct = ask(elasticsearch_url, path + b"?" + query)
            assert (through[0], through[2]) == (direct[0], direct[2]), (path, query)


def test_an_escape_that_is_not_whole_passes_as_bad_parameters(sidecar_url: str) -> None:
    status, headers, body = ask(sidecar_url, b"/articles/_search?size=%4&q=fox")
    assert (status, headers["X-Rescore"]) == (400, "passed; reason=bad_parameters")
    assert b"partial escape sequence" in body
    status, headers, _ = ask(sidecar_url, b"/articles%4/_search?q=fox")
    assert (status, headers.get("X-Rescore")) == (400, None)


def test_parameters_without_names_and_doubled_percent_signs_mean_the_same_here(
    sidecar_url: str, elasticsearch_url: str
) -> None:
    for query in (
        b"=q=fox&size=3",
        b"q=fox;=size=3",
        b"q=fox&size=3#&size=%",
        b"q=fox%%&size=3",
        b"q=f%6fx&size=3&explain=",
    ):
        status, headers, body = ask(sidecar_url, b"/articles/_search?" + query)
        assert (status, headers["X-Rescore"].partition(";")[0]) == (200, "reranked"), query
        assert body.count(b'"_id"') == ask(elasticsearch_url, b"/articles/_search?" + query)[2].count(b'"_id"') == 3
