"""Starting and stopping the node: what is run, and what is said when it cannot be."""

import asyncio
from pathlib import Path

import pytest

from sidecar.demo.node import elasticsearch_node
from sidecar.errors import StartupError


def script(folder: Path, start: str) -> Path:
    """Write a stand-in for scripts/elasticsearch that notes how it was called."""
    path = folder / "elasticsearch"
    path.write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\n[ "$1" = --stop ] || {{\n{start}\n}}\n')
    path.chmod(0o755)
    return path


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


async def use(path: Path) -> str:
    async with elasticsearch_node(path) as url:
        return url


def test_it_is_stopped_and_its_data_removed(tmp_path: Path) -> None:
    url = asyncio.run(use(script(tmp_path, "echo starting; echo http://127.0.0.1:1234")))
    start, stop = calls(tmp_path)
    data = start.removeprefix("--background --port 0 --data ")
    assert url == "http://127.0.0.1:1234"
    assert stop == f"--stop {data}"
    assert not Path(data).exists()


def test_it_is_stopped_after_an_error(tmp_path: Path) -> None:
    async def fail() -> None:
        async with elasticsearch_node(script(tmp_path, "echo http://127.0.0.1:1")):
            raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        asyncio.run(fail())
    assert calls(tmp_path)[-1].startswith("--stop ")


def test_it_is_stopped_when_cancelled_while_starting(tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    path = script(tmp_path, f"touch {tmp_path}/started; exec tail -f {tmp_path}/hold")

    async def cancel() -> None:
        task = asyncio.create_task(use(path))
        while not (tmp_path / "started").exists():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert calls(tmp_path)[-1].startswith("--stop ")


def test_it_says_why_it_did_not_start_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StartupError) as caught:
        asyncio.run(use(script(tmp_path, "echo 'no JDK: apt-get install openjdk-21-jre' >&2; exit 3")))
    assert "Elasticsearch did not start: no JDK: apt-get install openjdk-21-jre" in str(caught.value)
    assert "--upstream URL" in str(caught.value)


def test_an_installation_without_the_script(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="--upstream URL"):
        asyncio.run(use(tmp_path / "none"))
