"""Encoders that do not say what they read: no type, one that is no dataclass, no name at all."""

from dataclasses import dataclass

from torch import nn

from multiattn import Encoder, hookimpl


@hookimpl
def multiattn_components():
    for name in ("Untyped", "Inheriting", "Mistyped", "Nameless", "Failing"):
        target = f"untyped_spec:{name}"
        yield Encoder(name=name.lower(), target=target, summary="a bad spec", consumes="leaf-shape")


@dataclass(frozen=True)
class LeafSpec:
    edges: int


class Untyped(nn.Module):
    out_dim = 4

    def __init__(self, input_spec, *, dim: int = 4) -> None:
        super().__init__()

    def example_inputs(self): ...


class Inheriting(Untyped):
    pass


class Mistyped(Untyped):
    def __init__(self, input_spec: int) -> None:
        super().__init__(input_spec)


class Nameless(Untyped):
    def __init__(self) -> None:
        super().__init__(None)


class Failing(Untyped):
    def __init__(self, input_spec: LeafSpec) -> None:
        super().__init__(input_spec)
        raise ValueError("no edges\nat all")
