"""The text encoder: one slot per piece of the model's own tokenizer. Letters: see ``encoder``."""

from __future__ import annotations

import torch
from pydantic import NonNegativeInt
from torch import Tensor

from multiattn import Memory, Probability, Tokens
from multiattn.layers import length_mask
from multiattn_huggingface.encoder import HuggingFaceEncoder, Layer, masked_mean
from multiattn_huggingface.families import TextModelSpec


class TextEncoder(HuggingFaceEncoder):
    """BERT, RoBERTa, XLM-RoBERTa, MPNet, ELECTRA, DistilBERT, or the encoder of T5 or mT5.

    layer, train_from: see ``HuggingFaceEncoder``.
    gradient_checkpointing: recompute the layers in the backward pass: less memory, more time.
    projection_dim: width of a linear layer with ReLU applied to each slot; 0: no such layer.
    dropout: on the slots; not on the summary, which is their mean.
    Raises UserError for a model of another kind and for layers that it does not have.
    """

    def __init__(
        self,
        input_spec: TextModelSpec,
        *,
        layer: Layer = -1,
        train_from: NonNegativeInt | None = None,
        gradient_checkpointing: bool = False,
        projection_dim: NonNegativeInt = 0,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__(
            input_spec,
            "text",
            layer=layer,
            train_from=train_from,
            gradient_checkpointing=gradient_checkpointing,
            projection_dim=projection_dim,
            dropout=dropout,
        )

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        """Encode ids (B, S) of the model's tokenizer, special ones included; lengths (B,)."""
        mask = length_mask(lengths, inputs.size(1))  # (B, S)
        output = self.network(
            input_ids=inputs, attention_mask=mask.long(), output_hidden_states=True
        )
        kept = self.kept(output.hidden_states, output.last_hidden_state)
        slots = self.slots_of(self.mixed(kept)) * mask.unsqueeze(2)
        return Memory(self.dropout(slots), mask, Tokens(), masked_mean(slots, mask))

    def slots(self, size: int) -> int:
        """One slot per piece."""
        return size

    def example_inputs(self) -> tuple[Tensor, Tensor]:
        """Random ids of three texts."""
        return torch.randint(5, self.network.config.vocab_size, (3, 9)), torch.tensor([9, 4, 6])
