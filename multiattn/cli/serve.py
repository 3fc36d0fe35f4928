"""`multiattn serve`: a page and an API that try trained runs; see `multiattn.serve`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from multiattn.cli.options import PATH, Invocation, echo, set_option
from multiattn.errors import UserError

PACKAGES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")


@click.command()
@click.argument("paths", metavar="RUN...", type=PATH, nargs=-1, required=True, help="Run folders.")
@click.option(
    "--host",
    "address",
    metavar="ADDRESS",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen at; beyond this machine only with --token.",
)
@click.option("--port", type=int, default=8000, show_default=True, help="The port to listen at.")
@click.option("--token", metavar="TOKEN", default="", help="What requests must carry.")
@set_option
@click.pass_obj
def serve(
    invocation: Invocation,
    paths: Sequence[Path],
    address: str,
    port: int,
    token: str,
    settings: Sequence[str],
) -> None:
    """Serve a page and an API that try one or more runs."""
    from importlib.util import find_spec

    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UserError(
            f"expected the packages of the server, got none of {', '.join(missing)}; install them "
            "with `pip install 'multiattn[serve]'`"
        )
    from multiattn.serve.limits import Limits
    from multiattn.serve.server import serve as run_server

    run_server(
        paths,
        invocation.host,
        address=address,
        port=port,
        token=token,
        overrides=settings,
        limits=Limits(),
        ready=lambda url: echo(f"serving at {url} (stop with Ctrl-C)", err=True),
    )
