"""The configuration of the listeners. Pure."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr, model_validator

from sidecar.config.section import Section
from sidecar.config.urls import split_listener


class ListenerTls(Section):
    """TLS of a listener, 1.2 or newer. The files are read again when they change."""

    cert_file: str = Field(description="PEM certificate, followed by those that lead to the authority.")
    key_file: str | None = Field(None, description="PEM key; unset: it is in `cert_file`.")
    client_ca_file: str | None = Field(None, description="PEM authority; clients must show a certificate of it.")


class Listener(Section):
    """Where a listener binds. `HOST:PORT`, or a port alone, is short for the two."""

    host: str = Field("0.0.0.0", description="Address to bind.")  # noqa: S104 - a proxy serves its network
    port: int = Field(9200, ge=0, le=65535, description="TCP port; 0 takes a free one.")
    socket: str | None = Field(None, description="Path of a Unix socket to listen on instead of host and port.")
    reuse_port: bool = Field(False, description="Let the next process listen before this one ends (SO_REUSEPORT).")
    tls: ListenerTls | None = Field(None, description="TLS to clients; unset: plain HTTP.")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
            return _split(str(value))
        return value


def _split(text: str) -> Any:
    """Return host and port; a value that is neither may be a secret in the wrong place, and is not repeated."""
    try:
        return split_listener(text)
    except ValueError:
        raise ValueError("expected HOST:PORT, or a port") from None


def _long_enough(token: SecretStr) -> SecretStr:
    if len(token.get_secret_value()) < 8 or not token.get_secret_value().isprintable():
        raise ValueError("expected at least 8 printable characters")
    return token


class AdminListener(Listener):
    """The admin listener: health, metrics and pages; loopback unless told otherwise."""

    host: str = Field("127.0.0.1", description="Address to bind.")
    port: int = Field(9901, ge=0, le=65535, description="TCP port; 0 takes a free one.")
    token: Annotated[SecretStr, AfterValidator(_long_enough)] | None = Field(
        None, description="Bearer token that all but health asks for; the pages ask for it themselves."
    )
    judgments: str | None = Field(
        None, description="Folder of the judgments made on the compare page; unset: the user's data folder."
    )
