"""The text encoder: one slot per piece of the model's own tokenizer. Letters: see ``encoder``."""

from __future__ import annotations

import torch
from pydantic import NonNegativeInt
from torch import Tensor

from multiattn import Probability, Tokens
from multiattn.layers import length_mask
from multiattn_huggingface.encoder import Layer
from multiattn_huggingface.families import TextModelSpec
from multiattn_huggingface.sequence_encoder import BiLSTM, SequenceEncoder


class TextEncoder(SequenceEncoder):
    """BERT, RoBERTa, XLM-RoBERTa, MPNet, ELECTRA, DistilBERT, or the encoder of T5 or mT5.

    layer, train_from: see ``HuggingFaceEncoder``.
    gradient_checkpointing: recompute the layers in the backward pass: less memory, more time.
    projection_dim: width of a linear layer with ReLU applied to each slot; 0: no such layer.
    bilstm: layers of its own above the model.
    dropout: on the slots; not on the summary, which is their mean, or the final states of the LSTM.
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
        bilstm: BiLSTM | None = None,
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
        self.add_bilstm(bilstm)

    def outputs(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The layers in use, (B, S, K, D), for ids (B, S), special ones included."""
        mask = length_mask(lengths, inputs.size(1))  # (B, S)
        output = self.network(
            input_ids=inputs, attention_mask=mask.long(), output_hidden_states=True
        )
        return self.kept(output.hidden_states, output.last_hidden_state).transpose(1, 2), lengths

    def layout(self) -> Tokens:
        """A slot is a piece."""
        return Tokens()

    def slots(self, size: int) -> int:
        """One slot per piece."""
        return size

    def example_inputs(self) -> tuple[Tensor, Tensor]:
        """Random ids of three texts."""
        return torch.randint(5, self.network.config.vocab_size, (3, 9)), torch.tensor([9, 4, 6])
