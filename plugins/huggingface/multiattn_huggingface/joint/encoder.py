"""A text encoder with a slot for each piece of the target's tokenizer, which can be copied.

Letters: B texts, S pieces of the target's tokenizer, P of the model's, L the greater of both;
K layers that are kept, D width of the model, E of the embedding.
"""

from __future__ import annotations

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from multiattn import PAD, UNK, Probability, Tokens
from multiattn.layers import length_mask
from multiattn_huggingface.encoder import Layer
from multiattn_huggingface.joint.reader import NOTHING, JointTextSpec
from multiattn_huggingface.sequence_encoder import BiLSTM, SequenceEncoder

BASE = 2048  # float16 holds all integers up to it


class JointTextEncoder(SequenceEncoder):
    """BiLSTMs over the embedding of each piece beside the mean of the model's output for it.

    The ids of the pieces travel with the features, as two numbers that float16 holds exactly.

    layer, train_from: see ``HuggingFaceEncoder``.
    gradient_checkpointing: recompute the layers in the backward pass: less memory, more time.
    projection_dim: width of a linear layer with ReLU on the model's output; 0: no such layer.
    embedding_dim: width of the embedding of the target's pieces.
    bilstm: the layers above both. dropout: on the slots; not on the final states.
    Raises UserError for a model of another kind and for layers that it does not have.
    """

    def __init__(
        self,
        input_spec: JointTextSpec,
        *,
        layer: Layer = -1,
        train_from: NonNegativeInt | None = None,
        gradient_checkpointing: bool = False,
        projection_dim: NonNegativeInt = 0,
        embedding_dim: PositiveInt = 128,
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
        self.embedding = nn.Embedding(input_spec.target_size, embedding_dim, padding_idx=PAD)
        self.out_dim += embedding_dim
        self.summary_dim = self.out_dim
        self.add_bilstm(bilstm)

    def outputs(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (B, S, K · D + 2) of what the reader gave, (B, L, 4)."""
        real = length_mask(lengths, inputs.size(1)).unsqueeze(2)
        pieces, symbols, first, end = inputs.masked_fill(~real, NOTHING).unbind(2)  # (B, L)
        counts = (symbols != NOTHING).sum(1)
        pieces, symbols = pieces[:, : _longest(pieces)], symbols[:, : _longest(symbols)]
        mask = pieces != NOTHING
        output = self.network(
            input_ids=pieces.clamp(min=0), attention_mask=mask.long(), output_hidden_states=True
        )
        kept = self.kept(output.hidden_states, output.last_hidden_state)  # (B, K, P, D)
        spans = (each[:, : symbols.size(1), None] for each in (first, end))  # (B, S, 1)
        means = _means(kept.transpose(1, 2).flatten(2), *spans)
        known = symbols.clamp(min=PAD)
        digits = torch.stack([known // BASE, known % BASE], 2).float()  # (B, S, 2)
        return torch.cat([means, digits], 2), counts

    def own_slots(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The model's output, projected, beside the embedding; and what can be copied."""
        high, low = features[..., -2:].long().unbind(2)
        symbols = high * BASE + low  # (B, S)
        layers = 1 if self.layer_weights is None else len(self.layer_weights)
        known = features[..., :-2].to(self.network.dtype)
        kept = known.reshape(*symbols.shape, layers, -1)  # (B, S, K, D)
        known = self.slots_of(self.mixed(kept.transpose(1, 2)))  # (B, S, D)
        slots = torch.cat([known, self.embedding(symbols).to(known.dtype)], 2)
        return slots, torch.where(symbols > UNK, symbols, NOTHING)

    def layout(self) -> Tokens:
        """A slot is a piece."""
        return Tokens()

    def slots(self, size: int) -> int:
        """One slot per piece of the target's tokenizer."""
        return size

    def example_inputs(self) -> tuple[Tensor, Tensor]:
        """Two texts: of 3 and 6 pieces for the model, of 5 and 4 for the target."""
        rows = torch.full((2, 6, 4), NOTHING)
        sizes = self.network.config.vocab_size, self.embedding.num_embeddings
        for text, counts in enumerate(((3, 5), (6, 4))):
            for column, (count, size) in enumerate(zip(counts, sizes, strict=True)):
                rows[text, :count, column] = torch.randint(UNK + 1, size, (count,))
            starts = torch.arange(counts[1]).clamp(max=counts[0] - 1)
            rows[text, : counts[1], 2], rows[text, : counts[1], 3] = starts, starts + 1
        return rows, torch.tensor([5, 6])


def _longest(ids: Tensor) -> int:
    return int((ids != NOTHING).sum(1).max())


def _means(values: Tensor, first: Tensor, end: Tensor) -> Tensor:
    """The mean of values (B, P, X) from ``first`` to before ``end`` (B, S, 1): (B, S, X)."""
    places = torch.arange(values.size(1), device=values.device)
    inside = ((places >= first) & (places < end)).to(values.dtype)  # (B, S, P)
    return inside @ values / inside.sum(2, keepdim=True).clamp(min=1)
