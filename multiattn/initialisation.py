"""How the weights of an LSTM begin, for encoders and decoder alike.

PyTorch draws all of them from one narrow range. A deep stack then starts nearly constant in time: a
signal of deviation 1 leaves the third layer with 0.006, and CTC does not begin to align for hours.
"""

from __future__ import annotations

from typing import TypeVar

from torch import nn

Lstm = TypeVar("Lstm", nn.LSTM, nn.LSTMCell)


def initialised(lstm: Lstm) -> Lstm:
    """Gate by gate, input weights of Glorot & Bengio 2010, recurrent ones of Saxe et al. 2014.

    Biases are 0, that of the forget gate 1 (Jozefowicz et al. 2015).
    """
    for name, leaf in lstm.named_parameters():
        gates = leaf.data.chunk(4)  # enter, keep, candidate, show
        if name.startswith("weight_ih"):
            for gate in gates:
                nn.init.xavier_uniform_(gate)
        elif name.startswith("weight_hh"):
            for gate in gates:
                nn.init.orthogonal_(gate)
        else:
            nn.init.zeros_(leaf)
            if name.startswith("bias_ih"):
                nn.init.ones_(gates[1])
    return lstm
