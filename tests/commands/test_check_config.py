"""`sidecar check-config`: what it prints, and what it finds in a cluster's mapping."""

import base64
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar import cli
from sidecar.commands.live_check import Finding, examine
from sidecar.config.loader import loads
from sidecar.config.model import IndexMapping

FUSION = "ok      indices.docs: fusion linear 0.5, which fits bundled\n"
MAPPING = IndexMapping.model_validate({"fields": ["title"]})


def fields(*names: str) -> IndexMapping:
    return IndexMapping.model_validate({"fields": names})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(
        "upstream: {urls: ['https://me:secret@es:9200']}\nindices: {docs: {fields: [title]}}\n"
        "engine: {model: bundled}\n"
    )
    return path


def test_the_effective_configuration_can_be_loaded_again(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check-config", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "secret" not in shown
    again = loads(shown.replace("***", "secret"), {})
    assert again == loads(file.read_text(), {})


@pytest.mark.parametrize(
    ("model", "mapping", "said"),
    [
        ("bundled", "", "linear 0.5, which fits bundled"),
        ("bundled", ", fusion: rrf", "rrf 60, as configured"),
        ("bundled", ", model: hub", "replace, which fits cross-encoder/ms-marco-MiniLM-L6-v2"),
        ("cross-encoder/ms-marco-MiniLM-L6-v2", "", "replace, which fits cross-encoder/ms-marco-MiniLM-L6-v2"),
    ],
)
def test_the_fusion_that_holds_is_told(
    model: str, mapping: str, said: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = "{hub: {model: cross-encoder/ms-marco-MiniLM-L6-v2}}"
    file.write_text(f"engine: {{model: {model}, models: {models}}}\nindices: {{docs: {{fields: [title]{mapping}}}}}\n")
    assert cli.main(["check-config", str(file), "--quiet"]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "fusion" in line]
    assert told == [f"ok      indices.docs: fusion {said}"]


def test_problems_are_printed_one_a_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("listen: {prot: 1}\non_failure: never\n")
    assert cli.main(["check-config", str(file)]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"{file}:1: listen.prot: unknown key; did you mean 'port'?; allowed: host, port, reuse_port, socket, tls",
        f"{file}:2: on_failure: found \"never\"; expected 'pass' or 'error'",
    ]


def test_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check-config", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Config"


# -- looking fields up, pure ---------------------------------------------------------------------

DOCS = {
    "docs-1": {
        "mappings": {
            "runtime": {"shout": {"type": "keyword"}},
            "properties": {
                "title": {"type": "text", "fields": {"raw": {"type": "keyword"}}},
                "views": {"type": "long"},
                "author": {"properties": {"name": {"type": "match_only_text"}}},
                "old": {"type": "alias", "path": "title"},
                "a.b": {"type": "text"},
            },
        }
    }
}


@pytest.mark.parametrize(
    ("name", "level", "text"),
    [
        ("title", "ok", "(text)"),
        ("title.raw", "ok", "(keyword)"),
        ("author.name", "ok", "(match_only_text)"),
        ("shout", "ok", "(keyword)"),
        ("a.b", "ok", "(text)"),
        ("views", "error", "holds long, not text"),
        ("author", "error", "holds object, not text"),
        ("old", "warning", "is an alias, not in _source; map 'title' instead"),
        ("titel", "error", "no such field; did you mean 'title'?"),
        ("zzz", "error", "no such field"),
    ],
)
def test_one_field(name: str, level: str, text: str) -> None:
    (finding,) = examine("docs", fields(name), DOCS)
    assert finding.level == level
    assert finding.text.startswith(f"indices.docs: docs-1: {name}")
    assert finding.text.endswith(text)


def test_no_index() -> None:
    assert list(examine("docs", MAPPING, None)) == [
        Finding("error", "indices.docs: no such index, alias or data stream")
    ]
    assert [each.level for each in examine("docs-*", MAPPING, {})] == ["warning"]


def test_dynamic_false_and_no_source() -> None:
    loose = {"i": {"mappings": {"dynamic": "false", "_source": {"enabled": False}}}}
    assert [each.level for each in examine("i", MAPPING, loose)] == ["warning", "warning"]


@pytest.mark.parametrize(("most", "told"), [("50", True), ("100", False), (None, False)])
def test_a_window_above_what_an_index_of_a_range_gives_is_told(most: str | None, told: bool) -> None:
    properties = {"mappings": {"properties": {"title": {"type": "text"}}}}
    settings = {"index": {} if most is None else {"max_result_window": most}}
    indices = {"ed_a": properties, "ed_b": properties | {"settings": settings}}
    found = [each.text for each in examine("ed_*", MAPPING, indices) if each.level == "warning"]
    expected = "indices.ed_*: ed_b: window_size 100 is above index.max_result_window 50: no search on it is rescored"
    assert [text.partition(";")[0] for text in found] == ([expected] if told else [])


# -- over HTTP -----------------------------------------------------------------------------------


class Cluster(http.server.ThreadingHTTPServer):
    """Answers get-mapping as Elasticsearch documents it."""

    answer: tuple[int, bytes] = (200, json.dumps(DOCS).encode())

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Cluster

    def do_GET(self) -> None:
        self.server.requests.append((self.path, self.headers["Authorization"]))
        status, body = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with Cluster() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_each_mapped_index_is_asked_with_the_credentials_of_the_url(
    cluster: Cluster, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = cluster.url.replace("//", "//me:p%40ss@")
    assert cli.main(["check-config", str(file), "--quiet", "--upstream", url]) == 0
    basic = "Basic " + base64.b64encode(b"me:p@ss").decode()
    assert cluster.requests == [("/", basic), ("/docs?expand_wildcards=open", basic)]
    assert capsys.readouterr().err == FUSION + "ok      indices.docs: docs-1: title (text)\n"


def test_an_api_key_wins_and_the_files_own_url_is_the_default(
    cluster: Cluster, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(f"upstream: {{urls: ['{cluster.url}']}}\nindices: {{'d*': {{fields: [none]}}}}\n")
    monkeypatch.setenv("ELASTICSEARCH_API_KEY", "from-env")
    assert cli.main(["check-config", str(file), "--upstream"]) == 2
    assert cli.main(["check-config", str(file), "--upstream", "--api-key", "flag"]) == 2
    assert [key for _, key in cluster.requests[::2]] == ["ApiKey from-env", "ApiKey flag"]
    assert cluster.requests[1][0].startswith("/d*?")


@pytest.mark.parametrize(
    ("answer", "message"),
    [((401, b""), "answered 401"), ((200, b"<html>"), "does not answer as Elasticsearch does")],
)
def test_a_cluster_that_refuses(
    answer: tuple[int, bytes],
    message: str,
    cluster: Cluster,
    file: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster.answer = answer
    assert cli.main(["check-config", str(file), "--quiet", "--upstream", cluster.url]) == 4
    assert message in capsys.readouterr().err


def test_a_missing_index_is_an_error(cluster: Cluster, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.answer = (404, b"{}")
    assert cli.main(["check-config", str(file), "--quiet", "--upstream", cluster.url]) == 2
    assert capsys.readouterr().err == FUSION + "error   indices.docs: no such index, alias or data stream\n"


def test_nobody_listens(cluster: Cluster, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.server_close()
    assert cli.main(["check-config", str(file), "--quiet", "--upstream", cluster.url]) == 4
    assert "does not answer" in capsys.readouterr().err


def test_a_url_that_is_none(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check-config", str(file), "--quiet", "--upstream", "es:9200"]) == 2
    assert "is not a URL such as" in capsys.readouterr().err


def test_a_file_after_the_flag_is_the_file(cluster: Cluster, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(
        f"upstream: {{urls: ['{cluster.url}']}}\nengine: {{model: bundled}}\nindices: {{nothing: {{fields: a}}}}\n"
    )
    assert cli.main(["check-config", "--quiet", "--upstream", str(file)]) == 2
    assert "indices.nothing: docs-1: a: no such field" in capsys.readouterr().err
    assert cli.main(["check-config", "--quiet", "--upstream", "none.yaml"]) == 2
    assert "none.yaml: no such file" in capsys.readouterr().err


def test_a_configuration_that_maps_nothing_is_warned_of(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("engine: {model: bundled}\nindices: {}\n")
    assert cli.main(["check-config", str(file), "--quiet"]) == 0
    assert capsys.readouterr().err.startswith("warning no index is mapped: every search passes through")
