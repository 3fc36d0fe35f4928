"""A renderer of attention over a text: a dot per output word and input token.

Change what ``draw`` draws. A renderer is for memories of one layout, which its record names: here
``tokens``, a slot per token of a text.

Protocol: ``multiattn.protocols.Renderer``. In a recipe, where several are for one layout:
``sources: {NAME: {renderer: my-plugin}}``.
Letters: W output words, S slots.
"""

import numpy as np
from matplotlib.figure import Figure

from multiattn import AttentionRecord

LARGEST_DOT = 200.0  # square points


class MyPluginRenderer:
    """The area of a dot is the attention weight."""

    def draw(self, figure: Figure, record: AttentionRecord) -> None:
        """Draw ``record.weights`` (W, S) into an empty figure, of any size; W may be 0."""
        words, slots = record.weights.shape
        figure.set_size_inches(2 + 0.3 * slots, 1.5 + 0.3 * words)
        axes = figure.add_subplot()
        down, across = np.indices((words, slots))  # (W, S) each
        axes.scatter(across, down, LARGEST_DOT * record.weights, color="black")
        axes.set_xticks(range(len(record.labels)), record.labels, rotation=60, parse_math=False)
        axes.set_yticks(range(words), record.words, parse_math=False)
        axes.invert_yaxis()  # the first word on top
        figure.set_layout_engine("tight")
