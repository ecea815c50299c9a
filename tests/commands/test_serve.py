"""`sidecar serve`: what its flags make of the configuration, and what it refuses before it starts."""

from pathlib import Path

import pytest

from sidecar import cli
from sidecar.config.model import Config
from sidecar.config.reload import ConfigSource

Served = list[tuple[Config, ConfigSource | None]]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Served:
    """Stand in for the composition root, which would bind ports and load a model."""
    calls: Served = []
    monkeypatch.setattr("sidecar.workers.serving.worker_count", lambda config: 1)
    monkeypatch.setattr("sidecar.app.serve", lambda config, source, **_: calls.append((config, source)) or 0)  # type: ignore[func-returns-value]
    return calls


def test_no_file_at_all(served: Served) -> None:
    assert cli.main(["serve", "--upstream", "http://es:9200", "--field", "title", "--field", "body"]) == 0
    config, source = served[0]
    assert source is None
    assert [url.base for url in config.upstream.urls] == ["http://es:9200"]
    assert [field.name for field in config.indices["*"].fields] == ["title", "body"]


def test_every_flag(served: Served) -> None:
    words = "serve --upstream http://a:1 --upstream http://b:2 --index news --field t --model bundled"
    assert cli.main([*words.split(), "--listen", "127.0.0.1:9999", "--admin", "[::1]:9998"]) == 0
    config, _ = served[0]
    assert [url.base for url in config.upstream.urls] == ["http://a:1", "http://b:2"]
    assert (list(config.indices), config.engine.model) == (["news"], "bundled")
    assert (config.listen.host, config.listen.port) == ("127.0.0.1", 9999)
    assert (config.admin.host, config.admin.port) == ("::1", 9998)


def test_a_model_can_be_required(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr("sidecar.workers.serving.worker_count", lambda config: 1)
    monkeypatch.setattr("sidecar.app.serve", lambda *_, require_model: asked.append(require_model) or 0)  # type: ignore[func-returns-value]
    words = ["serve", "--upstream", "http://a:1", "--field", "t"]
    assert [cli.main(words), cli.main([*words, "--require-model"])] == [0, 0]
    assert asked == [False, True]


def test_flags_win_over_the_file_and_stay_on_reload(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("listen: {port: 9300}\nindices: {a: {fields: [x]}}\n")
    assert cli.main(["serve", str(path), "--listen", "0", "--upstream", "http://es:1"]) == 0
    config, source = served[0]
    assert (config.listen.port, config.listen.host) == (0, "0.0.0.0")  # noqa: S104 - the default that is shown
    assert source is not None
    assert [url.base for url in source.load().upstream.urls] == ["http://es:1"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["serve"], "sidecar: nothing to rescore: give a configuration file with `indices`, or --field NAME"),
        (
            ["serve", "--field", "x"],
            "sidecar: upstream http://localhost:9200 is where the sidecar itself would listen; "
            "set another port, as in `--listen 9201`",
        ),
        (
            ["serve", "--upstream", "es:9200", "--field", "x"],
            'sidecar: command line: upstream.urls.0: found "es:9200"; '
            "expected a base URL such as 'https://es.example:9200'",
        ),
        (["serve", "none.yaml"], "sidecar: none.yaml: no such file or directory"),
    ],
)
def test_what_is_refused(words: list[str], message: str, served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    assert capsys.readouterr().err == message + "\n"
    assert served == []


@pytest.mark.parametrize("text", ["nine", "host:", "1.2.3.4:99999", "host:²"])
def test_a_wrong_listener(text: str, served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["serve", "--listen", text])
    assert caught.value.code == 2
    assert f"{text!r} is not HOST:PORT" in capsys.readouterr().err
