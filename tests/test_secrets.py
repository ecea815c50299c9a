"""No secret of the configuration appears in any output: messages, dumps, tracebacks, answers, pages, logs."""

from __future__ import annotations

import json
import logging
import socket
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar import cli
from sidecar.config.loader import loads
from sidecar.config.model import Config
from sidecar.config.urls import BaseUrl, redact
from sidecar.errors import ConfigError
from sidecar.observing.logs import JsonFormatter
from tests.http.conftest import request, say, sidecar_before

SECRET = "5ec%40ret"  # noqa: S105 - made up


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:s3cr3t@es:9200/base", "https://me:***@es:9200/base"),
        ("https://me:s3cr3t/with@both@es", "https://me:***@es"),
        ("https://me:s3cr3t?#@es", "https://me:***@es"),
        ("https://s3cr3t@es:9200", "https://***@es:9200"),
        ("https://:s3cr3t@es:9200", "https://:***@es:9200"),
        ("https://es:9200?api_key=s3cr3t", "https://es:9200?***"),
        ('https://me:s3c"r3t \n@es', "https://me:***@es"),
        ("https://es:9200", "https://es:9200"),
    ],
)
def test_a_url_shows_itself_without_its_secrets(url: str, shown: str) -> None:
    assert redact(url) == shown


def test_a_configuration_prints_itself_without_passwords() -> None:
    text = f"upstream: {{urls: ['https://me:{SECRET}@es:9200']}}\nadmin:\n  token: ${{TOKEN}}\n"
    config = loads(text, {"TOKEN": "2024-13-45"})  # no valid date, and no reason to show it
    assert config.admin.token is not None
    assert config.admin.token.get_secret_value() == "2024-13-45"
    printed = [str(config), repr(config), config.model_dump_json(), str(config.model_dump()), f"{config.upstream.urls}"]
    assert all("me:***@es" in text for text in printed)
    assert not any(SECRET in text or "2024" in text for text in printed)
    assert config.upstream.urls[0].get_secret_value() == f"https://me:{SECRET}@es:9200"


@pytest.mark.parametrize(
    "text",
    [
        "upstream: {urls: ['https://me:s3cr3t@:9200']}",
        "upstream: {urls: ['ftp://me:s3cr3t@es']}",
        "upstream: {urls: ['https://me:s3cr3t@es:port']}",
        "upstream: {urls: ['https://me:s3cr3t/#@es']}",
        "upstream: {urls: ['https://[me:s3cr3t@es']}",
        "upstream: {urls: 'https://me:s3cr3t@es'}",
        "upstream: 'https://me:s3cr3t@es'",
        "upstream: ['https://me:s3c\"s3cr3t@es']",
        "listen: ['https://me:s3cr3t@es']",
        "upstream: {urls: {a: 'https://me:s3cr3t@es'}}",
        "upstream: {urls: ['${URL}']}",
        "admin: {token: s3cr3t}",
        "admin: {token: [s3cr3t]}",
        "admin: s3cr3t",
        "admin: [{token: s3cr3t}]",
        "admin: {token: {s3cr3t: 1}}",
    ],
)
def test_a_wrong_configuration_is_told_without_its_secrets(text: str) -> None:
    environ = {"URL": "https://me:s3cr3t@:9200"}
    with pytest.raises(ConfigError) as caught:
        loads(text, environ)
    assert "s3cr3t" not in "".join(traceback.format_exception(caught.value))


def test_check_config_shows_no_password(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://me:s3cr3t@127.0.0.1:{taken.getsockname()[1]}"
    file = tmp_path / "c.yaml"
    file.write_text(f"upstream: {{urls: ['{url}']}}\nindices: {{a: {{fields: [b]}}}}\n")
    assert cli.main(["check-config", str(file), "--upstream"]) == 4
    shown = capsys.readouterr()
    assert "me:***@127.0.0.1" in shown.out
    assert "does not answer" in shown.err
    assert "s3cr3t" not in shown.out + shown.err


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Everything that is logged, as it is written."""
    written: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            written.append(JsonFormatter().format(record))

    handler, root = Keeping(), logging.getLogger()
    before = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield written
    root.removeHandler(handler)
    root.setLevel(before)


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "secret-node.invalid:9200"])
async def test_no_answer_page_or_log_line_holds_a_password_and_no_client_learns_a_host(
    host: str, lines: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        node = host.format(port=taken.getsockname()[1])
    indices = {"articles": {"fields": ["body"]}}
    urls = (f"http://me:{SECRET}@{node}", f"https://tokens3cr3t@{node}/x")
    search = request("/articles/_search", method="POST", body=b'{"query":{"match":{"body":"x"}}}')
    async with sidecar_before(*urls, indices=indices) as sidecar:
        answers = [
            await say(sidecar.port, sent) for sent in (search, request("/_cat"), request("/_bulk", method="PUT"))
        ]
        pages = [await say(sidecar.admin_port, request(path)) for path in ("/info", "/metrics", "/health/ready")]
    assert all(answer.startswith(b"HTTP/1.1 502") for answer in answers)
    assert not any(node.partition(":")[0].encode() in answer for answer in answers)
    assert any(node in line for line in lines)
    everything = b"".join([*answers, *pages]).decode() + "".join(lines)
    assert not any(part in everything for part in (SECRET, "5ec@ret", "s3cr3t"))


def test_a_url_is_found_valid_without_its_credentials() -> None:
    assert (
        Config.model_validate({"upstream": {"urls": ["http://a:b@es:1/x/"]}}).upstream.urls[0].base == "http://es:1/x"
    )
    assert json.dumps(str(BaseUrl("http://a:b@es"))) == '"http://a:***@es"'
