"""Base URLs that print themselves without their password, so that no message, log line or traceback can tell it."""

from __future__ import annotations

import re
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from pydantic import AfterValidator, Secret

_USER = re.compile(r"(?<=://)([^/?#:@]*).*@", re.DOTALL)
_PARAMETERS = re.compile(r"(://[^?#]*)[?#].*", re.DOTALL)


def redact(url: str) -> str:
    """Hide what may be secret in a URL: the password, a token in the user's place, the query string.

    All up to the last `@` is taken for credentials: a password that should have been percent-encoded is one, too.
    """
    return _PARAMETERS.sub(r"\1?***", _USER.sub(_hidden, url))


def _hidden(found: re.Match[str]) -> str:
    return f"{found[1]}:***@" if found[0] != f"{found[1]}@" else "***@"


def split_credentials(url: str) -> tuple[str, tuple[str, str] | None]:
    """Return a URL without its user and password, and those."""
    parts = urlsplit(url)
    base = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return base, None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))


def split_listener(text: str) -> dict[str, Any]:
    """Return the host and the port of `HOST:PORT`, `[IPv6]:PORT` or `PORT`; without a host it is left out."""
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or int(port) > 65535 or (":" in host and host[:1] != "["):
        raise ValueError(f"{text!r} is not HOST:PORT")
    return {"port": int(port)} | ({"host": host.strip("[]")} if host else {})


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment
        _ = parts.port
    except ValueError:  # its own text may hold a part of the password
        valid = False
    if not valid:
        raise ValueError("expected a base URL such as 'https://es.example:9200'")
    return url


class BaseUrl(Secret[Annotated[str, AfterValidator(_checked)]]):
    """A base URL; ``get_secret_value`` returns all of it, printing it hides the password."""

    def _display(self) -> str:
        return redact(self.get_secret_value())

    @property
    def base(self) -> str:
        """The URL without credentials and without a slash at its end."""
        return split_credentials(self.get_secret_value())[0].rstrip("/")
