"""For authors of models: masks, the parts of an attention, bidirectional LSTMs, CTC heads."""

from multiattn.engine.attention import Keys, attend, masked_softmax, project_values
from multiattn.engine.bilstm import bidirectional, encode_in_groups, final_states, one_direction
from multiattn.engine.memory import length_mask, scatter_rows
from multiattn.search.ctc import ctc_head_name

__all__ = [
    "Keys",
    "attend",
    "bidirectional",
    "ctc_head_name",
    "encode_in_groups",
    "final_states",
    "length_mask",
    "masked_softmax",
    "one_direction",
    "project_values",
    "scatter_rows",
]
