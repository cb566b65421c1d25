"""What the environment says about the network: certificates and proxies."""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from urllib.parse import unquote, urlsplit

from alloy_actors.errors import ConfigError

_making = Lock()


def ssl_context() -> ssl.SSLContext:
    """One for the process: making it costs 20 ms. Honours SSL_CERT_FILE and SSL_CERT_DIR.

    Raises:
        ConfigError: One of them names what is not there, which OpenSSL would pass over in silence.
    """
    with _making:
        return _ssl_context()


@cache
def _ssl_context() -> ssl.SSLContext:
    for variable, there in (("SSL_CERT_FILE", Path.is_file), ("SSL_CERT_DIR", Path.is_dir)):
        path = os.environ.get(variable)
        if path and not any(there(Path(one)) for one in path.split(os.pathsep)):
            raise ConfigError(
                f"{variable} names {path!r}, which is not there: correct the variable or unset it"
            )
    context = ssl.create_default_context()
    named = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
    if not named and not context.cert_store_stats()["x509_ca"]:
        import certifi  # some Pythons come without the system's certificates; httpx brings these

        context.load_verify_locations(certifi.where())
    return context


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where to go instead; `url` is without credentials, which are in `headers`."""

    url: str
    headers: dict[str, str] | None

    def __repr__(self) -> str:
        return f"Proxy({self.url!r})"


def proxy_for(scheme: str, host: str, port: int | None) -> Proxy | None:
    """The proxy that http_proxy, https_proxy, all_proxy and no_proxy name for an address."""
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    found = proxies.get(scheme) or proxies.get("all")
    if not found or proxy_bypass(f"{host}:{port}" if port else host):
        return None
    parts = urlsplit(found if "://" in found else f"http://{found}")
    if parts.scheme not in {"http", "https"}:
        raise ConfigError(
            f"the environment names a {parts.scheme} proxy for {host}, which only httpx speaks: "
            "pass http_client=httpx.AsyncClient(), or put the host into no_proxy"
        )
    headers = None
    if parts.username is not None:
        import aiohttp

        login = aiohttp.encode_basic_auth(unquote(parts.username), unquote(parts.password or ""))
        headers = {"proxy-authorization": login}
    return Proxy(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", headers)
