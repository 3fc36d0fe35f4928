"""What the three encoders share: which layers are used and trained, and what follows them.

Letters: B inputs, K layers that are kept, n layers of the model, S slots, D width of a slot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multiattn import UserError
from multiattn_huggingface.families import ModelSpec
from multiattn_huggingface.network import build_network, freeze, load_weights

Layer = int | Literal["all"]


class HuggingFaceEncoder(nn.Module):
    """A model of transformers; its settings are described in the README.

    layer: the layer whose output is used: 0 is what comes before the first, -1 the last, with the
        norm after it; ``all``: a learned, softmax-weighted sum (Peters et al. 2018, eq. 1).
    train_from: the first layer that is trained; None: all is frozen; 0: all is trained, embeddings
        included. Frozen layers stay in evaluation mode.
    """

    def __init__(
        self,
        spec: ModelSpec,
        modality: str,
        *,
        layer: Layer,
        train_from: int | None,
        gradient_checkpointing: bool,
        projection_dim: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.frozen = train_from is None
        self.network, self.family = build_network(spec, modality)
        self.layers = len(self.network.get_submodule(self.family.layers))
        self.layer = self._checked(layer, train_from)
        self.feature_settings: Mapping[str, object] = {"layer": self.layer}
        last = self.layers if self.layer == "all" else self.layer
        self._trained = [freeze(self.network, self.family, train_from, last)]  # no submodules
        if gradient_checkpointing:
            self.network.activation_checkpointing_enable()
        self.layer_weights = nn.Parameter(torch.zeros(self.layers + 1)) if layer == "all" else None
        width = self._width()
        self.projection = nn.Linear(width, projection_dim) if projection_dim else None
        self.dropout = nn.Dropout(dropout)
        self.out_dim = self.summary_dim = projection_dim or width

    def start_from(self, data_root: Path) -> str:
        """Load the model's weights; result and errors as for ``load_weights``."""
        return load_weights(self.network, self.spec, self.family, data_root)

    def train(self, mode: bool = True) -> Self:
        """Keep what is frozen in evaluation mode: no dropout, no batch statistics."""
        super().train(mode)
        self.network.eval()
        for module in self._trained[0]:
            module.train(mode)
        return self

    def kept(self, states: Sequence[Tensor], last: Tensor) -> Tensor:
        """The outputs (B, K, …) of the layers in use. last: the last one's, after the norm."""
        outputs = [*states[:-1], last]
        return torch.stack(outputs if self.layer == "all" else [outputs[self.layer]], 1)

    def mixed(self, kept: Tensor) -> Tensor:
        """The weighted sum of the layers in use: (B, K, …) -> (B, …)."""
        if self.layer_weights is None:
            return kept.squeeze(1)
        return torch.einsum("k,bk...->b...", self.layer_weights.softmax(0), kept)

    def slots_of(self, values: Tensor) -> Tensor:
        """Project slots or summaries (…, D), if there is a projection."""
        return values if self.projection is None else F.relu(self.projection(values))

    def _width(self) -> int:
        config: Any = self.network.config
        sizes = getattr(config, "hidden_sizes", None)
        if not sizes:
            return int(config.hidden_size)
        before = getattr(config, "embedding_size", sizes[0])
        widths = [before, *sizes]
        if self.layer == "all":
            raise UserError(
                f"expected as layer of the encoder a number from 0 to {self.layers}, got all; the "
                f"stages of {config.model_type} have different widths"
            )
        return int(widths[self.layer])

    def _checked(self, layer: Layer, train_from: int | None) -> Layer:
        """The layer counted from 0. Raises UserError for layers that the model does not have."""
        if layer != "all" and not -self.layers - 1 <= layer <= self.layers:
            raise UserError(
                f"expected as layer of the encoder a number from 0 to {self.layers} (negative ones "
                f"count from the end) or all, got {layer}; the model has {self.layers} layers"
            )
        chosen: Layer = layer if layer == "all" else layer % (self.layers + 1)
        last = self.layers if chosen == "all" else chosen
        if train_from is not None and train_from > last:
            raise UserError(
                f"expected as train_from of the encoder a layer from 0 to {last}, the last in use, "
                f"got {train_from}; lower it, or leave it out to freeze the model"
            )
        return chosen
