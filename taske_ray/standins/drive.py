"""Google Drive, as far as files.list and the user's own profile go (the Drive API v3 reference says how)."""

import base64
import binascii
import json
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from taske_ray.standins.consent import Login
from taske_ray.standins.drive_query import BadQuery, read_query
from taske_ray.standins.world import Drive, DriveFile

_default_page, _largest_page = 100, 1000
_default_fields = ("kind", "id", "name", "mimeType")
_sort_keys = {
    "modifiedTime": lambda file: file.modified,
    "createdTime": lambda file: file.modified,
    "name": lambda file: file.name,
    "name_natural": lambda file: file.name,
}


class _Refusal(Exception):
    """An error of Google's, with its status, reason and message."""

    def __init__(self, status: int, reason: str, message: str, location: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.location = location


def routes(drive: Drive, login: Login | None = None) -> list[Route]:
    """The paths of www.googleapis.com and openidconnect.googleapis.com that are played."""

    async def files(request: Request) -> JSONResponse:
        return _answered(drive, login, request, lambda: _list(drive, dict(request.query_params)))

    async def about(request: Request) -> JSONResponse:
        return _answered(drive, login, request, lambda: _about(drive, request.query_params.get("fields")))

    async def userinfo(request: Request) -> JSONResponse:
        return _answered(drive, login, request, lambda: {"sub": "1", "email": drive.email, "email_verified": True})

    return [
        Route("/drive/v3/files", files, methods=["GET"]),
        Route("/drive/v3/about", about, methods=["GET"]),
        Route("/v1/userinfo", userinfo, methods=["GET"]),
    ]


def _answered(drive: Drive, login: Login | None, request: Request, answer: Any) -> JSONResponse:
    try:
        _check_state(drive)
        _check_token(drive, login, request)
        return JSONResponse(answer())
    except _Refusal as refusal:
        return _error(refusal)


def _check_state(drive: Drive) -> None:
    if drive.fail_next:
        drive.fail_next -= 1
        raise _Refusal(503, "backendError", "The service is currently unavailable.")
    if drive.refuse_next:
        drive.refuse_next -= 1
        raise _Refusal(403, "userRateLimitExceeded", "User Rate Limit Exceeded")


def _check_token(drive: Drive, login: Login | None, request: Request) -> None:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    known = token in drive.tokens or (login is not None and login.accepts(token))
    if kind.lower() != "bearer" or not known:
        raise _Refusal(401, "authError", "Request had invalid authentication credentials.", "Authorization")
    if login is not None and not login.allows(token, request.url.path):
        raise _Refusal(403, "insufficientPermissions", "Request had insufficient authentication scopes.")


def _list(drive: Drive, params: dict[str, str]) -> dict[str, Any]:
    matching = _sorted(_found(drive, params.get("q", "")), params.get("orderBy", ""))
    size = _page_size(params.get("pageSize"))
    start = _page_start(params)
    page = matching[start : start + size]
    whole: dict[str, Any] = {
        "kind": "drive#fileList",
        "incompleteSearch": False,
        "files": [file.resource() for file in page],
    }
    if start + size < len(matching):
        whole["nextPageToken"] = _page_token(params, start + size)
    return _picked(whole, params.get("fields"))


def _about(drive: Drive, fields: str | None) -> dict[str, Any]:
    """Who the account is; unlike other methods this one insists on `fields`."""
    if not fields:
        raise _Refusal(400, "required", "The 'fields' parameter is required for this method.", "fields")
    user = {"kind": "drive#user", "displayName": "Demo", "me": True, "emailAddress": drive.email}
    whole = {"kind": "drive#about", "user": user}
    names = [name.split("/")[0].split("(")[0].strip() for name in fields.split(",")]
    if fields != "*" and not set(names) <= set(whole):
        raise _invalid("fields")
    return {name: part for name, part in whole.items() if fields == "*" or name in names}


def _found(drive: Drive, text: str) -> list[DriveFile]:
    try:
        query = read_query(text)
    except BadQuery:
        raise _invalid("q") from None
    if not query.folders <= drive.folders:
        raise _Refusal(404, "notFound", "File not found: .", "fileId")
    return [file for file in drive.files if query.matches(file)]


def _sorted(files: list[DriveFile], order: str) -> list[DriveFile]:
    for part in reversed([part.split() for part in order.split(",") if part.strip()]):
        key = _sort_keys.get(part[0])
        if key is None or part[1:] not in ([], ["desc"]):
            raise _invalid("orderBy")
        files = sorted(files, key=key, reverse=part[1:] == ["desc"])
    return files


def _page_size(text: str | None) -> int:
    if text is None:
        return _default_page
    if not text.isdecimal() or not 1 <= int(text) <= _largest_page:
        raise _invalid("pageSize")
    return int(text)


def _page_token(params: dict[str, str], start: int) -> str:
    """A token that is good for the same question only."""
    return base64.urlsafe_b64encode(json.dumps([_question(params), start]).encode()).decode()


def _page_start(params: dict[str, str]) -> int:
    token = params.get("pageToken")
    if token is None:
        return 0
    try:
        question, start = json.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError, TypeError):
        raise _invalid("pageToken") from None
    if question != _question(params):
        raise _invalid("pageToken")
    return int(start)


def _question(params: dict[str, str]) -> list[str]:
    return [params.get("q", ""), params.get("orderBy", "")]


def _picked(whole: dict[str, Any], fields: str | None) -> dict[str, Any]:
    """A partial response: the named fields only; without `fields` a short default, as Google answers."""
    if fields is None:
        files = [{name: file[name] for name in _default_fields} for file in whole["files"]]
        return {**whole, "files": files}
    if fields == "*":
        return whole
    picked: dict[str, Any] = {}
    for name, inner in _field_names(fields):
        if name not in ("kind", "files", "nextPageToken", "incompleteSearch"):
            raise _invalid("fields")
        if name in whole:
            picked[name] = [_picked_file(file, inner) for file in whole[name]] if name == "files" else whole[name]
    return picked


def _picked_file(file: dict[str, Any], names: list[str] | None) -> dict[str, Any]:
    if names is None or names == ["*"]:
        return file
    if not set(names) <= set(file):
        raise _invalid("fields")
    return {name: file[name] for name in names}


def _field_names(fields: str) -> list[tuple[str, list[str] | None]]:
    """`a,files(b,c),files/d` as (name, inner names)."""
    found = re.findall(r"([A-Za-z]+)(?:\(([A-Za-z*,\s]+)\)|/([A-Za-z]+))?\s*(?:,|$)\s*", fields)
    if not found or re.sub(r"[A-Za-z]+(?:\([A-Za-z*,\s]+\)|/[A-Za-z]+)?\s*(?:,|$)\s*", "", fields):
        raise _invalid("fields")
    return [
        (name, [each.strip() for each in (inner or single).split(",")] if inner or single else None)
        for name, inner, single in found
    ]


def _invalid(parameter: str) -> _Refusal:
    return _Refusal(400, "invalid", "Invalid Value", parameter)


def _error(refusal: _Refusal) -> JSONResponse:
    detail: dict[str, Any] = {"message": refusal.message, "domain": "global", "reason": refusal.reason}
    if refusal.location is not None:
        detail |= {
            "location": refusal.location,
            "locationType": "header" if refusal.location == "Authorization" else "parameter",
        }
    error = {"code": refusal.status, "message": refusal.message, "errors": [detail]}
    return JSONResponse({"error": error}, refusal.status)
