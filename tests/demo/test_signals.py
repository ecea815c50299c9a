"""Ctrl-C cancels the demo once; an impatient second one changes nothing."""

import asyncio
import os
import signal

import pytest

from sidecar.demo.session import _stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_one_cancellation_however_often_it_is_asked_for(number: signal.Signals) -> None:
    started, cancelled = asyncio.Event(), 0

    async def demo() -> None:
        nonlocal cancelled
        _stop_on_signals()
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled += 1
            os.kill(os.getpid(), number)
            await asyncio.sleep(0)  # the clean stop goes on

    task = asyncio.create_task(demo())
    await started.wait()
    os.kill(os.getpid(), number)
    with pytest.raises(asyncio.CancelledError):
        await task
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().remove_signal_handler(each)
    assert cancelled == 1
