"""The watched file: swaps by rename and by symlink, mistakes, SIGHUP. No test sleeps: looks are asked for."""

import asyncio
import contextlib
import logging
import os
import signal
from pathlib import Path

import pytest

from sidecar.config.loader import loads
from sidecar.config.model import Config
from sidecar.config.reload import ConfigSource, carry_over
from sidecar.errors import ConfigError

FIRST = "indices: {articles: {fields: [body]}}\n"
SECOND = "indices: {articles: {fields: [title]}}\n"


class Looks:
    """Lets a watch look at the file once per call, and waits until it has."""

    def __init__(self, source: ConfigSource) -> None:
        self.applied: list[Config] = []
        self._go, self._idle = asyncio.Semaphore(0), asyncio.Semaphore(0)
        self._task = asyncio.create_task(source.watch(self.applied.append, wait=self._wait))

    async def _wait(self, asked: asyncio.Event) -> None:
        self._idle.release()
        await self._go.acquire()

    async def __call__(self) -> None:
        """Let it look twice: a change is taken when it stands still."""
        for _ in range(2):
            await self.once()

    async def once(self) -> None:
        self._go.release()
        await self._idle.acquire()

    async def __aenter__(self) -> "Looks":
        await self._idle.acquire()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    @property
    def fields(self) -> list[str]:
        return [config.indices["articles"].fields[0].name for config in self.applied]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "sidecar.yaml"
    path.write_text(FIRST)
    return path


def source_of(path: Path) -> ConfigSource:
    source = ConfigSource(path, {})
    source.load()
    return source


def replace_keeping_size_and_time(path: Path) -> None:
    new, times = path.with_suffix(".new"), path.stat()
    new.write_text(FIRST.replace("body", "text"))
    os.utime(new, ns=(times.st_atime_ns, times.st_mtime_ns))
    new.replace(path)


def config_map(folder: Path) -> Path:
    """Lay files out as Kubernetes does: FILE -> ..data/FILE, ..data -> a folder (source: AtomicWriter)."""
    for name, text in (("..1", FIRST), ("..2", SECOND)):
        (folder / name).mkdir()
        (folder / name / "c.yaml").write_text(text)
    (folder / "..data").symlink_to("..1")
    (folder / "c.yaml").symlink_to("..data/c.yaml")
    return folder / "c.yaml"


def swap(folder: Path) -> None:
    (folder / "..data_tmp").symlink_to("..2")
    (folder / "..data_tmp").replace(folder / "..data")


async def test_a_file_that_stays_is_not_reloaded(path: Path) -> None:
    source = source_of(path)
    async with Looks(source) as look:
        await look()
        os.utime(path)
        await look()
    assert look.applied == []
    assert source.stats() == {"reloads_total": 0.0, "failures_total": 0.0}


async def test_a_rename_over_the_file_with_equal_size_and_time(path: Path) -> None:
    source = source_of(path)
    async with Looks(source) as look:
        replace_keeping_size_and_time(path)
        await look()
    assert look.fields == ["text"]
    assert source.stats()["reloads_total"] == 1


async def test_a_kubernetes_config_map_swaps_a_symlink(tmp_path: Path) -> None:
    async with Looks(source_of(config_map(tmp_path))) as look:
        swap(tmp_path)
        await look()
    assert look.fields == ["title"]


async def test_mistakes_are_told_once_and_the_last_good_one_stays(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = source_of(path)
    with caplog.at_level(logging.ERROR):
        async with Looks(source) as look:
            path.write_text("indices: {articles: {feilds: [body]}}\n")
            await look()
            await look()
            path.unlink()
            await look()
            assert look.applied == []
            assert source.stats() == {"reloads_total": 0.0, "failures_total": 2.0}
            path.write_text(SECOND)
            await look()
    assert look.fields == ["title"]
    assert len(caplog.records) == 2
    assert "did you mean 'fields'?" in caplog.messages[0]
    assert "no such file" in caplog.messages[1]


async def test_sighup_reloads_at_once(path: Path) -> None:
    applied: asyncio.Queue[Config] = asyncio.Queue()
    started = asyncio.Event()

    async def wait(asked: asyncio.Event) -> None:
        started.set()
        await asked.wait()

    watch = asyncio.create_task(source_of(path).watch(applied.put_nowait, wait=wait))
    await started.wait()
    os.kill(os.getpid(), signal.SIGHUP)
    assert "articles" in (await applied.get()).indices
    watch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watch


async def test_without_a_wait_of_its_own_it_looks_at_intervals(path: Path) -> None:
    applied: asyncio.Queue[Config] = asyncio.Queue()
    watch = asyncio.create_task(source_of(path).watch(applied.put_nowait, interval=0.001))
    replace_keeping_size_and_time(path)
    assert (await applied.get()).indices["articles"].fields[0].name == "text"
    watch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watch


def test_what_needs_a_restart_waits_for_it() -> None:
    running = loads("listen: {port: 1}\n" + FIRST, {})
    loaded = loads("listen: {port: 2}\nengine: {max_length: 64}\non_failure: error\n" + SECOND, {})
    config, pending = carry_over(running, loaded)
    assert pending == ["listen", "engine"]
    assert (config.listen, config.engine) == (running.listen, running.engine)
    assert (config.indices, config.on_failure) == (loaded.indices, "error")


def test_a_mapping_to_a_model_that_is_not_loaded_is_refused() -> None:
    loaded = loads("engine: {models: {m: {model: bundled}}}\nindices: {a: {fields: [x], model: m}}", {})
    with pytest.raises(ConfigError, match="new models need a restart"):
        carry_over(Config(), loaded)


def test_the_first_look_needs_no_running_configuration() -> None:
    assert carry_over(None, Config()) == (Config(), [])


async def test_a_file_that_is_still_being_written_is_not_read_half(path: Path) -> None:
    async with Looks(source_of(path)) as look:
        for text in ("", "indices:\n", SECOND[:-2], SECOND):
            path.write_text(text)
            await look.once()
        assert look.applied == []
        await look.once()
    assert look.fields == ["title"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "log_level: info\n"])
async def test_a_file_cut_short_before_its_mappings_does_not_turn_rescoring_off(
    path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = source_of(path)
    async with Looks(source) as look:
        path.write_text(text)
        await look()
        assert (look.applied, source.stats()["failures_total"]) == ([], 1)
        assert "no `indices`: the file looks cut short" in caplog.messages[-1]
        path.write_text("indices: {}\n")
        await look()
    assert [dict(config.indices) for config in look.applied] == [{}]
