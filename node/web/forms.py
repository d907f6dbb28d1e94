"""What a browser sends with a form. Nothing of it touches a disk, whatever its size; `node.web.guard` bounds that."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from python_multipart.exceptions import FormParserError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser

from node.config.web import MOST_UPLOAD

_MOST_FIELDS = 2000
_MOST_TEXT = 1 << 20


class _InMemory(MultiPartParser):
    spool_max_size = MOST_UPLOAD * 2  # more than can come: never written to a temporary file


async def form_of(request: Request) -> FormData:
    """Return the form of a request, read once; an empty one where there is none. Raises HTTPException 400."""
    known = getattr(request.state, "form", None)
    if isinstance(known, FormData):
        return known
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    form = FormData()
    try:
        if kind == "multipart/form-data":
            form = await _InMemory(
                request.headers,
                request.stream(),
                max_files=1,
                max_fields=_MOST_FIELDS,
                max_part_size=_MOST_TEXT,
            ).parse()
        elif kind == "application/x-www-form-urlencoded":
            form = await FormParser(request.headers, request.stream()).parse()
    except (MultiPartException, FormParserError, UnicodeDecodeError, KeyError):
        raise HTTPException(400, "the form cannot be read") from None
    request.state.form = form
    return form


Form = Annotated[FormData, Depends(form_of)]


def text(form: FormData, name: str, limit: int = 1000) -> str:
    """Return a field as text without blanks around it; empty where it is missing. Raises HTTPException 422."""
    value = form.get(name, "")
    if not isinstance(value, str) or len(value) > limit or "\0" in value:
        raise HTTPException(422, f"{name}: expected a text of at most {limit} characters")
    return value.strip()


def texts(form: FormData, name: str) -> list[str]:
    """Return every value of a field that is a text, each once, in order."""
    return list(dict.fromkeys(value for value in form.getlist(name) if isinstance(value, str) and value))


async def uploaded(form: FormData, name: str) -> bytes:
    """Return what was uploaded in a field; empty where nothing was."""
    value = form.get(name)
    if not isinstance(value, UploadFile):
        return b""
    content = await value.read()
    await value.close()  # else it is held twice, and complained of in the log
    return content
