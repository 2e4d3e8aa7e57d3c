"""The page's JavaScript, served from this machine as the modules that a browser imports: no bundler, no build."""

import os

from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.server.theme import WEB

PATH = "/web"  # of the address; nothing outside `WEB` is served under it


class Fresh(StaticFiles):
    """Files about which a browser asks each time, so that it never mixes modules of two versions of the app."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Returns the file, or "not modified" without it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["cache-control"] = "no-cache"
        return response


def mount() -> Mount:
    """Returns the route of the modules."""
    return Mount(PATH, Fresh(directory=WEB))


def address(module: str) -> str:
    """Returns where a browser finds a module, such as "page.js"."""
    return f"{PATH}/{module}"
