"""The fields of a request as an input: files stay bytes, texts stay texts, nothing is a path."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from multiattn.data.corpus import StoredMedia
from multiattn.serve.limits import Limits, RequestError
from multiattn.serve.served_run import CONTROLS, ServedRun, Value

RESERVED = ("run", "example")
MOST_FIELDS = 40


async def read_form(request: Request) -> FormData:
    """The fields of a multipart or urlencoded body. Raises RequestError."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("multipart/form-data", "application/x-www-form-urlencoded"):
        raise RequestError(
            415, f"expected a body of multipart/form-data, got {kind or 'none'}; send a form"
        )
    try:
        return await request.form(max_files=MOST_FIELDS, max_fields=MOST_FIELDS)
    except ClientDisconnect as error:
        raise RequestError(
            499, "expected a whole request, got one whose client has gone"
        ) from error
    except (MultiPartException, ValueError, KeyError) as error:
        reason = getattr(error, "message", error)
        raise _unreadable(reason) from error
    except Exception as error:
        detail = getattr(error, "detail", None)  # starlette's HTTPException
        if detail is None:
            raise
        raise _unreadable(detail) from error


def _unreadable(reason: object) -> RequestError:
    return RequestError(400, f"expected a form that can be read, got another ({reason}); mend it")


def controls(form: FormData) -> Mapping[str, str]:
    """The search settings that a form changes. Raises RequestError for a file in place of one."""
    return {key: _text(key, form[key]) for key in CONTROLS if key in form}


async def read_input(form: FormData, run: ServedRun, limits: Limits) -> dict[str, Any]:
    """A value for every source, None where there is none. Raises RequestError."""
    if "example" in form:
        return run.example(_text("example", form["example"]))
    sources = [source["name"] for source in run.describe()["sources"]]
    known = {*sources, *RESERVED, *CONTROLS}
    unknown = [key for key in form if key not in known]
    if unknown:
        raise RequestError(
            422, f"expected fields {', '.join(sources)}, got {unknown[0][:40]!r}; use those names"
        )
    values: dict[str, Value | None] = {}
    for source in sources:
        given = form.get(source)
        content = await given.read() if isinstance(given, UploadFile) else given
        values[source] = _value(source, content, is_media=source in run.media)
    if not any(value is not None for value in values.values()):
        raise RequestError(422, f"expected a value for {' or '.join(sources)}, got none; give one")
    long = [v for v in values.values() if isinstance(v, str) and len(v) > limits.characters]
    if long:
        raise RequestError(
            413,
            f"expected a text of at most {limits.characters:,} characters, got {len(long[0]):,}",
        )
    return values


def _value(source: str, content: str | bytes | None, *, is_media: bool) -> Value | None:
    if content is None or not content.strip():
        return None
    if is_media:
        if isinstance(content, str):
            raise RequestError(422, f"expected a file in {source!r}, got a text; send its content")
        return StoredMedia(f"the file in {source!r}", partial(bytes, content))
    if isinstance(content, str):
        return content
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(
            422, f"expected a text in UTF-8 in {source!r}, got other bytes"
        ) from error


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise RequestError(422, f"expected a text in {key!r}, got a file")
    return value
