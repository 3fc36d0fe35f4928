"""One attention encoder-decoder, any input. Importing this imports no torch.

predictor = multiattn.load("runs/translation")
predictor("A dog runs .").text
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiattn.prediction.predictor import load

    __version__: str

__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    """Import what is heavy when it is first asked for."""
    if name == "load":
        from multiattn.prediction.predictor import load

        return load
    if name == "__version__":
        import importlib.metadata

        return importlib.metadata.version("multiattn")
    raise AttributeError(f"module 'multiattn' has no attribute {name!r}")
