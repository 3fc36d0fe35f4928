"""The API and the page.

POST /v1/predict    a form with a field per source: a file, or a text; answers the viewer's JSON
GET  /v1/runs       the runs with their sources, search settings and examples
GET  /healthz       whether the server runs
GET  /metrics       for Prometheus
GET  /openapi.json  the API's description; /docs shows it
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from functools import partial
from importlib.resources import files
from typing import Any

import jinja2
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

from multiattn.errors import UserError
from multiattn.prediction.viewer.html import viewer_file
from multiattn.serve.batching import BatchQueue, Job
from multiattn.serve.forms import controls, read_form, read_input
from multiattn.serve.limits import Limits, RequestError
from multiattn.serve.measures import Measures
from multiattn.serve.middleware import Guard
from multiattn.serve.served_run import ServedRun

STATIC = {
    "viewer.js": "text/javascript",
    "viewer.css": "text/css",
    "page.js": "text/javascript",
    "page.css": "text/css",
    "recorder.js": "text/javascript",
}
BATCH = 32
LOOK_SECONDS = 0.5  # between looks at whether the client is still there
LOG = logging.getLogger(__name__)
FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "description": "A field for each source of the run, a file or a text; or "
                    "`example`, the id of one of its examples. `run` names the run if there are "
                    "several. The others change the search.",
                    "properties": {
                        "run": {"type": "string"},
                        "example": {"type": "string"},
                        "method": {"type": "string", "enum": ["beam", "sample", "ctc"]},
                        "beam": {"type": "integer", "minimum": 1},
                        "n_best": {"type": "integer", "minimum": 1},
                        "length_penalty": {"type": "number"},
                        "temperature": {"type": "number"},
                    },
                    "additionalProperties": {"type": "string", "format": "binary"},
                }
            }
        },
    },
}


def make_app(
    runs: Sequence[ServedRun], limits: Limits, hosts: Sequence[str], token: str = ""
) -> FastAPI:
    """The application. hosts: the names by which it may be called."""
    measures = Measures()
    waiting = BatchQueue(limits.queue, BATCH, measures.batch.observe)
    measures.waiting.set_function(lambda: len(waiting))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(waiting.close)

    app = FastAPI(
        title="multiattn",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    app.add_middleware(Guard, limits=limits, token=token)
    app.add_exception_handler(RequestError, _refused)
    app.add_exception_handler(HTTPException, _not_served)
    by_name = {run.name: run for run in runs}

    @app.post("/v1/predict", openapi_extra=FORM, summary="Predict an output for an input")
    async def predict(request: Request) -> Response:
        """Answers the JSON of the viewer: the output, its score, attention, times and doubts."""
        started = time.monotonic()
        status = 500
        try:
            answer = await _predict(request, by_name, waiting, limits)
            status = 200
            return JSONResponse(answer)
        except RequestError as error:
            status = error.status
            raise
        finally:
            measures.requests.labels(status).inc()
            measures.seconds.observe(time.monotonic() - started)

    @app.get("/v1/runs", summary="The runs that are served")
    async def list_runs() -> list[dict[str, Any]]:
        """Each with its sources, the search settings of its recipe, and some examples."""
        return [run.describe() for run in runs]

    @app.get("/healthz", summary="Whether the server runs")
    async def health() -> dict[str, str]:
        """Always the same while it does."""
        return {"status": "ok"}

    @app.get("/metrics", summary="Figures for Prometheus")
    async def metrics() -> Response:
        """In Prometheus's text format."""
        return Response(measures.text(), media_type="text/plain; version=0.0.4")

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return HTMLResponse(_static("page.html"))

    @app.get("/docs", include_in_schema=False)
    async def documentation() -> Response:
        return HTMLResponse(_documentation(app.openapi()))

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in STATIC:
            raise RequestError(404, "expected a file of this page, got another name")
        content = viewer_file(name) if name.startswith("viewer") else _static(name)
        return Response(content, media_type=STATIC[name])

    return app


async def _predict(
    request: Request, runs: dict[str, ServedRun], waiting: BatchQueue, limits: Limits
) -> dict[str, Any]:
    form = await read_form(request)
    try:
        name = form.get("run", next(iter(runs)))
        if not isinstance(name, str) or name not in runs:
            raise RequestError(404, f"expected one of the runs {', '.join(runs)}, got another name")
        run = runs[name]
        search = run.search(controls(form))
        values = await read_input(form, run, limits)
        if "example" not in form:
            await asyncio.to_thread(run.check, values)
    finally:
        await form.close()
    job = Job(values, (name, search.model_dump_json()), partial(run.answers, search))
    try:
        return await _answered(request, waiting.put(job), limits)
    except RequestError:
        raise
    except UserError as error:
        raise RequestError(422, str(error)) from error
    except Exception as error:
        LOG.exception("a request for %s could not be answered", name)
        raise RequestError(
            500, "expected an answer, got a fault of the server; its log says more"
        ) from error


async def _answered(
    request: Request, future: Future[dict[str, Any]], limits: Limits
) -> dict[str, Any]:
    """The answer, while the client waits for it. Raises RequestError if it takes too long."""
    answer = asyncio.wrap_future(future)
    for _ in range(max(1, round(limits.seconds / LOOK_SECONDS))):
        done, _ = await asyncio.wait({answer}, timeout=LOOK_SECONDS)
        if done:
            return answer.result()
        if await request.is_disconnected():
            answer.cancel()
            raise RequestError(499, "expected a client that waits, got one that has gone")
    answer.cancel()
    raise RequestError(
        408,
        f"expected an answer within {limits.seconds:g} seconds, got none; try a shorter input",
    )


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)  # noqa: S101
    return JSONResponse({"error": str(error)}, status_code=error.status)


async def _not_served(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    message = f"expected a path and a method of the API, got others ({error.detail}); see /docs"
    return JSONResponse({"error": message}, status_code=error.status_code)


def _static(name: str) -> str:
    return (files("multiattn.serve") / "static" / name).read_text(encoding="utf-8")


def _documentation(schema: dict[str, Any]) -> str:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_static("docs.html")).render(schema=schema)
