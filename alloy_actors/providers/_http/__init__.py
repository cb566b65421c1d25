"""HTTP for the providers; the only package that knows aiohttp and httpx, and imports both late.

Requests go through one aiohttp session per process, called directly: through httpx's transport for aiohttp the same
request costs half as much CPU again, through an AsyncClient more than twice (docs/providers.md has the numbers).
httpx is touched only when a caller brings an AsyncClient, which is then used on our loop and never closed by us.

What leaves this package are bytes and our own errors.
"""

from alloy_actors.providers._http.canned import Canned, canned_client
from alloy_actors.providers._http.exchange import Endpoint, Reply
from alloy_actors.providers._http.guard import Timeouts
from alloy_actors.providers._http.session import close_all

__all__ = ["Canned", "Endpoint", "Reply", "Timeouts", "canned_client", "close_all"]
