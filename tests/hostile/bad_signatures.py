"""Targets whose signatures cannot be settings, and some that can."""

from collections.abc import Callable
from typing import Annotated

from multiattn import Attention, Objective, Slot, hookimpl


@hookimpl
def multiattn_components():
    for name in ("Anything", "Untyped", "Unwritable", "Bare"):
        target = f"bad_signatures:{name}"
        yield Objective(name=name.lower(), target=target, summary="a bad signature")
    yield Objective(name="gone", target="bad_signatures:Gone", summary="not there")
    yield Attention(name="outer", target="bad_signatures:Outer", summary="looks by another")
    yield Attention(name="inner", target="bad_signatures:Inner", summary="looks by itself")


class Anything:
    def __init__(self, **settings: float) -> None: ...


class Untyped:
    def __init__(self, *, weight=1.0) -> None: ...


class Unwritable:
    def __init__(self, *, stream: "Bare | None" = None) -> None: ...


class Bare:
    pass


class Inner:
    def __init__(self, query_dim: int, memory_dim: int, *, dim: int = 4) -> None:
        self.dims = (query_dim, memory_dim, dim)


class Outer:
    def __init__(
        self,
        query_dim: int,
        memory_dim: int,
        *,
        of: Annotated[Callable[[int, int], Inner], Slot("attention")] = Inner,
        perhaps: Annotated[Callable[[int, int], Inner] | None, Slot("attention")] = None,
        heads: int,
    ) -> None:
        self.inner = of(query_dim, memory_dim)
        self.perhaps = perhaps
        self.heads = heads

    def prepare(self, memory, value_projection=None): ...

    def __call__(self, query, keys, history): ...
