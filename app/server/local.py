"""Refuses requests that do not come from the page itself.

The port is on this machine only, but another site that is open in the browser could send requests to it too.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

NAMES = ("127.0.0.1", "localhost")


class Local:
    """Refuses requests under another host name (DNS rebinding), and those that another site's page sent."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_local(Headers(scope=scope)):
            return await PlainTextResponse("open this page as http://127.0.0.1", 403)(scope, receive, send)
        await self.app(scope, receive, send)


def is_local(headers: Headers) -> bool:
    """Returns whether a request names this machine as its host, and comes from no other site's page."""
    host, origin = headers.get("host", ""), headers.get("origin")
    try:
        return urlsplit(f"//{host}").hostname in NAMES and (origin is None or urlsplit(origin).netloc == host)
    except ValueError:  # a host or an origin that is no address, such as "["
        return False
