"""The page's JavaScript, served from this machine as the modules that a browser imports: no bundler, no build."""

import os
from functools import cache
from hashlib import sha256

from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from app.server.theme import WEB


class Kept(StaticFiles):
    """Files that a browser may keep for good: their address changes with their content."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """Returns the file, with the permission to keep it."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["cache-control"] = "max-age=31536000, immutable"
        return response


def mount() -> Mount:
    """Returns the route of the modules; nothing outside their folder is served under it."""
    return Mount(folder(), Kept(directory=WEB))


def address(module: str) -> str:
    """Returns where a browser finds a module, such as "page.js"."""
    return f"{folder()}/{module}"


@cache
def folder() -> str:
    """Returns the folder of the modules' addresses, named after their content: another version is at another address."""
    digest = sha256()
    for file in sorted(WEB.rglob("*.js")):
        digest.update(f"{file.relative_to(WEB).as_posix()}\n".encode() + file.read_bytes())
    return f"/web/{digest.hexdigest()[:12]}"
