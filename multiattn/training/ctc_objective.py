"""The CTC objective: Graves et al. 2006, on an encoder's memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from multiattn.data.rows import BadRows, Row
from multiattn.engine.decoder import DecoderOutput
from multiattn.engine.memory import Memory, MemorySpec
from multiattn.engine.output_layer import at_least_float32
from multiattn.errors import UserError
from multiattn.search import ctc
from multiattn.symbols import PAD
from multiattn.training.objectives import Loss


class CTC:
    """Connectionist temporal classification on one memory. Graves et al. 2006; Watanabe 2017.

    The head scores V symbols per slot; PAD, which occurs in no target, is the blank. The sum is
    over inputs, the count is of their target tokens, so that it is on the same scale as the
    cross-entropy. ``source`` may be omitted if there is only one; with several sources, each has
    its own head.

    A target that needs more slots than its input has is a bad row: a UserError, or, if ``bad_rows``
    skips, an example that adds nothing to this objective.
    """

    keep: tuple[str, ...] = ()

    def __init__(self, *, source: str | None = None) -> None:
        self.source = source
        self.bad_rows = BadRows("stop")  # ``build_model`` sets the recipe's policy

    def heads(
        self, vocabulary_size: int, memories: Mapping[str, MemorySpec]
    ) -> dict[str, nn.Module]:
        source = ctc.ctc_source(self.source, memories, "objective")
        head = nn.Linear(memories[source].dim, vocabulary_size)
        return {ctc.ctc_head_name(source, memories): head}

    def check(self, row: Row, ids: Sequence[int], slots: Mapping[str, int]) -> None:
        """Raise UserError for a target (ids without EOS) that needs more slots than there are."""
        there = [name for name in slots if self.source in (None, name)]
        needed = len(ids) + sum(left == right for left, right in pairwise(ids))
        for name in there:
            if needed > slots[name]:
                raise UserError(
                    f"objective 'ctc' needs {needed} slots for the target of {row.description}, "
                    f"got {slots[name]} of {row.sources[name]}; remove the example, let the "
                    "encoder downsample less, or set training.bad_rows=skip"
                )

    def count(self, batch: Any) -> int:
        """Target tokens, EOS not counted, of the inputs that have the source."""
        source = self.source or next(iter(batch.sources), "")
        inputs = batch.sources.get(source)
        return 0 if inputs is None else int((batch.targets.lengths[inputs.rows] - 1).sum())

    def loss(
        self, model: Any, batch: Any, memories: Mapping[str, Memory], output: DecoderOutput
    ) -> Loss:
        source = ctc.ctc_source(self.source, memories, "objective")
        memory = memories[source]
        present = memory.mask.any(1)
        slots = memory.mask.sum(1)[present]
        tokens = batch.targets.tokens[present]
        lengths = batch.targets.lengths[present] - 1  # without EOS
        self._refuse_too_long(batch, present, tokens, lengths, slots)
        head = model.heads[ctc.ctc_head_name(source, memories)]
        scores = at_least_float32(head(memory.values[present]))  # (B', S, V)
        if not len(scores):
            return scores.sum(), scores.new_zeros(())  # zero, but part of the graph
        total = F.ctc_loss(
            scores.log_softmax(-1).transpose(0, 1),
            tokens,
            slots,
            lengths,
            blank=PAD,
            reduction="sum",
            zero_infinity=True,  # for targets that are too long
        )
        return total, lengths.sum().to(total.dtype)

    def _refuse_too_long(
        self, batch: Any, present: Tensor, tokens: Tensor, lengths: Tensor, slots: Tensor
    ) -> None:
        """Refuse targets that no path can emit.

        A path needs one slot per token, and one more for the blank between equal neighbours.
        """
        inside = torch.arange(1, tokens.size(1), device=tokens.device) < lengths.unsqueeze(1)
        repeats = ((tokens[:, 1:] == tokens[:, :-1]) & inside).sum(1)
        for index in (lengths + repeats > slots).nonzero().flatten().tolist():
            name = batch.ids[int(present.nonzero().flatten()[index])]
            self.bad_rows.refuse(
                f"objective 'ctc' needs {int(lengths[index] + repeats[index])} slots for the "
                f"target of example {name!r}, got {int(slots[index])}; remove the example, let "
                "the encoder downsample less, or set training.bad_rows=skip",
                name,
            )
