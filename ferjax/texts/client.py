"""An OpenAI-compatible server over HTTP; the only owner of the network.

Python's own ``http.client`` does all that is needed here: one connection a thread, kept open. What
an HTTP library adds (retries, limits) is the collector's own work, because every attempt is written
down and the number at once follows the server. A key is sent to the server that was named, and
never kept, shown, or sent on after a redirect.
"""

import contextlib
import email.message
import email.utils
import http.client
import ipaddress
import json
import os
import socket
import ssl
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["Client", "NoReply", "Reply", "key_from_environment"]

_MOST = 64 * 2**20  # bytes of a reply


class Reply(NamedTuple):
    """What a server answered."""

    status: int
    body: bytes
    retry_after: float | None
    """Seconds that it asks to wait."""
    seconds: float
    """From the request to the reply's last byte."""


class NoReply(Exception):
    """No whole reply came; ``kind`` is timeout, connection or malformed (it broke off)."""

    def __init__(self, kind: str, text: str):
        super().__init__(text)
        self.kind = kind


def key_from_environment(name: str | None) -> str | None:
    """The key in an environment variable; None without a name.

    Raises:
      ValueError: if the variable is not set, or holds what no header can; never shows it.
    """
    if name is None:
        return None
    key = os.environ.get(name, "").strip()
    if not key:
        raise ValueError(f"--key-env {name}: that environment variable is not set")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError(f"--key-env {name}: its value is no key (blanks or special characters)")
    return key


class Client:
    """Requests to one server, from any number of threads.

    Args:
      base_url: up to and with the version, e.g. ``http://127.0.0.1:8080/v1``.
      key: sent as a bearer token.
      timeout: seconds for a whole request, reply included.

    Raises:
      ValueError: if the URL is no such URL, or holds a password.
    """

    def __init__(self, base_url: str, key: str | None = None, timeout: float = 120.0):
        url = urllib.parse.urlsplit(base_url)
        try:
            port = url.port
        except ValueError as error:
            raise ValueError(f"--base-url: {error}") from error
        if url.username is not None or url.password is not None or url.query or url.fragment:
            raise ValueError(
                "--base-url must hold no user, password or query: give a key's environment "
                "variable with --key-env"
            )
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"--base-url must be like http://127.0.0.1:8080/v1, got {base_url!r}")
        self.base_url = base_url.rstrip("/")
        self._secure = url.scheme == "https"
        self._host = url.hostname
        self._port = port or (443 if self._secure else 80)
        self._path = url.path.rstrip("/")
        self._key = key
        self._timeout = timeout
        self._proxy = _proxy(url.scheme, url.hostname)
        self._own = threading.local()
        self._open: set[http.client.HTTPConnection] = set()
        self._kept: set[http.client.HTTPConnection] = set()
        self._closings = 0
        self._lock = threading.Lock()

    @property
    def sends_key_in_the_clear(self) -> bool:
        """Whether a key goes to another machine unencrypted."""
        return self._key is not None and not self._secure and not _is_loopback(self._host)

    def without_key(self, text: str) -> str:
        """A text with the key blotted out, should a server have repeated it."""
        return text if self._key is None else text.replace(self._key, "[key]")

    def chat(self, body: Mapping[str, Any]) -> Reply:
        """Asks for a chat completion.

        Raises:
          NoReply: if none came.
        """
        return self._ask("POST", "/chat/completions", json.dumps(body).encode())

    def models(self) -> Reply:
        """Asks for the list of models.

        Raises:
          NoReply: if none came.
        """
        return self._ask("GET", "/models", None)

    def close(self) -> None:
        """Ends every request in flight, whose threads get :class:`NoReply`, and all connections.

        The client may be used again.
        """
        with self._lock:
            self._closings += 1
            for connection in self._open:
                _shut(connection)
            for connection in self._kept - self._open:
                connection.close()
            self._kept.clear()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, method: str, path: str, body: bytes | None) -> Reply:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        began = time.monotonic()
        kept = getattr(self._own, "connection", None)
        connection = kept or self._connect()
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            _shut(connection)

        timer = threading.Timer(self._timeout, expire)
        timer.daemon = True
        with self._lock:
            self._open.add(connection)
            closings = self._closings
        timer.start()
        try:
            try:
                connection.request(method, self._path + path, body, headers)
                response = connection.getresponse()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                if kept is None or expired.is_set():
                    raise
                # The server closed it between requests, as servers do: begin anew.
                connection.close()
                connection.request(method, self._path + path, body, headers)
                response = connection.getresponse()
            data = response.read(_MOST + 1)
            if expired.is_set():
                raise TimeoutError
            if response.length:  # of a length that was told, so much did not come
                raise http.client.IncompleteRead(data, response.length)
            if len(data) > _MOST:
                raise http.client.HTTPException(f"a reply of more than {_MOST >> 20} MiB")
        except (OSError, http.client.HTTPException, ValueError) as error:
            # ValueError: the socket was closed under a read by `expire` or `close`.
            connection.close()
            self._own.connection = None
            with self._lock:
                self._kept.discard(connection)
            raise self._no_reply(error, expired.is_set()) from error
        finally:
            timer.cancel()
            with self._lock:
                self._open.discard(connection)
        self._own.connection = connection
        with self._lock:
            if self._closings == closings:
                self._kept.add(connection)
            else:  # closed since, when the whole reply was there already
                connection.close()
        wait = _retry_after(response.headers)
        return Reply(response.status, data, wait, time.monotonic() - began)

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._proxy or (self._host, self._port)
        wait = min(self._timeout, 30.0)
        if self._secure:
            context = ssl.create_default_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=wait, context=context
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=wait)
        if self._proxy:
            connection.set_tunnel(self._host, self._port)
        original = connection.connect

        def connect() -> None:
            original()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.sock.settimeout(self._timeout)

        connection.connect = connect  # type: ignore[method-assign]
        return connection

    def _no_reply(self, error: Exception, expired: bool) -> NoReply:
        if expired or isinstance(error, TimeoutError):
            return NoReply("timeout", f"no whole reply in {self._timeout:g} s")
        broke_off = isinstance(error, http.client.HTTPException) and not isinstance(
            error, http.client.RemoteDisconnected
        )
        text = self.without_key(f"{type(error).__name__}: {error}".rstrip(": "))
        return NoReply("malformed" if broke_off else "connection", text)


def _shut(connection: http.client.HTTPConnection) -> None:
    if connection.sock is not None:
        with contextlib.suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)


def _proxy(scheme: str, host: str) -> tuple[str, int] | None:
    """The proxy that the environment names for a host; none for this machine itself."""
    if _is_loopback(host) or urllib.request.proxy_bypass(host):
        return None
    named = urllib.request.getproxies().get(scheme)
    if not named:
        return None
    url = urllib.parse.urlsplit(named if "//" in named else f"//{named}")
    return (url.hostname, url.port or 8080) if url.hostname else None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _retry_after(headers: email.message.Message) -> float | None:
    """Seconds to wait, from ``Retry-After`` as seconds or a date, or ``retry-after-ms``."""
    for name, unit in (("retry-after-ms", 1e-3), ("Retry-After", 1.0)):
        given = headers.get(name)
        if given is None:
            continue
        try:
            seconds = float(given) * unit
        except ValueError:
            try:
                seconds = email.utils.parsedate_to_datetime(given).timestamp() - time.time()
            except ValueError:
                continue
        if seconds < float("inf"):
            return max(0.0, seconds)
    return None
