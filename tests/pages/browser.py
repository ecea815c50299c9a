"""A headless Chromium, told what to do over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_PATIENCE = 120.0
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--disable-extensions", "--remote-debugging-port=0", "about:blank"),
)
_KEYS = {"Enter": ("\r", 13), "Tab": ("", 9), "Escape": ("", 27), " ": (" ", 32)}
_ARROWS = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


class Page:
    """One page. ``errors`` are what it wrote to the console as errors, exceptions and broken policies among them."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.errors: list[str] = []

    async def listen(self) -> None:
        """Take what the browser says, for as long as it says anything."""
        async for message in self._socket:
            told = json.loads(message.data)
            if "id" in told:
                self._waiting.pop(told["id"]).set_result(told)
            elif told["method"] == "Runtime.exceptionThrown":
                self.errors.append(str(told["params"]["exceptionDetails"]))
            elif told["method"] == "Log.entryAdded" and told["params"]["entry"]["level"] == "error":
                self.errors.append(told["params"]["entry"]["text"])

    async def say(self, method: str, **parameters: Any) -> Any:
        """Send a command; return its result."""
        number = next(self._numbers)
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        told = await asyncio.wait_for(answered, _PATIENCE)
        assert "error" not in told, told["error"]
        return told["result"]

    async def run(self, script: str) -> Any:
        """Evaluate an expression; return its value."""
        found = await self.say("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    async def until(self, condition: str) -> Any:
        """Wait until an expression is true of the page, which says so itself at its next change; return its value."""
        script = (
            "new Promise((done) => { const look = () => { let is; try { is = (%s); } catch { is = false; }"
            " if (is) done(is); else requestAnimationFrame(look); }; look(); })"
        )
        return await self.run(script % condition)

    async def open(self, url: str) -> None:
        """Go to a page and wait until its script has begun."""
        await self.say("Page.navigate", url="about:blank")
        await self.say("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.protocol !== 'about:'")

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            text, code = _KEYS.get(key, (key if len(key) == 1 else "", _ARROWS.get(key, 0)))
            told = {"key": key, "windowsVirtualKeyCode": code, "text": text}
            await self.say("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **told)
            await self.say("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    async def type(self, text: str) -> None:
        """Type into what has the focus."""
        await self.say("Input.insertText", text=text)

    async def look(self, width: int = 1280, height: int = 900, *, dark: bool = False) -> None:
        """Change the size of the screen and the colours that its user likes."""
        mobile = width < 600
        await self.say(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile
        )
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.say("Emulation.setEmulatedMedia", features=features)

    async def picture(self, file: Path) -> None:
        """Keep what the screen shows."""
        shot = await self.say("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(shot["data"]))


@contextlib.asynccontextmanager
async def browsing() -> AsyncIterator[Page]:
    """Run a browser with one page for the length of a ``with`` block."""
    assert CHROMIUM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = await asyncio.create_subprocess_exec(
            CHROMIUM, f"--user-data-dir={profile}", *_FLAGS, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(await _target(browser, session), max_msg_size=1 << 28) as socket,
            ):
                page = Page(socket)
                listening = asyncio.create_task(page.listen())
                for domain in ("Page", "Runtime", "Log"):
                    await page.say(f"{domain}.enable")
                yield page
                listening.cancel()
        finally:
            browser.terminate()
            await browser.wait()


async def _target(browser: asyncio.subprocess.Process, session: aiohttp.ClientSession) -> str:
    assert browser.stderr is not None
    while True:
        line = (await asyncio.wait_for(browser.stderr.readline(), _PATIENCE)).decode()
        assert line, "the browser ended"
        if "DevTools listening on ws://" in line:
            host = line.split("ws://")[1].split("/")[0]
            break
    async with session.get(f"http://{host}/json/list") as answer:
        targets = await answer.json()
    return str(next(each["webSocketDebuggerUrl"] for each in targets if each["type"] == "page"))
