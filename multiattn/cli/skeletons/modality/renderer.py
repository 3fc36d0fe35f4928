"""Draws attention over a series: the series on top, below it the attention of each output word.

Change what ``draw`` draws. It is for memories of the layout ``my-plugin``, the encoder's, so that
no recipe needs to name it.

Protocol: ``multiattn.protocols.Renderer``.
Letters: W output words, S slots.
"""

from matplotlib.figure import Figure

from multiattn import AttentionRecord, UserError

from .reader import load_series


class MyPluginRenderer:
    """Time from left to right; darker means more attention."""

    def draw(self, figure: Figure, record: AttentionRecord) -> None:
        """Draw ``record.weights`` (W, S) into an empty figure; W may be 0, the file be gone."""
        words, slots = record.weights.shape
        figure.set_size_inches(8, 2.5 + 0.25 * words)
        figure.set_layout_engine("constrained")
        above, below = figure.subplots(2, 1, sharex=True)
        try:
            above.plot(load_series(record.value), color="black")
        except UserError:
            above.set_axis_off()
        below.set_xlabel("time steps")
        below.set_yticks(range(words), record.words, parse_math=False)
        if words:
            extent = (0, slots * record.layout.steps, words - 0.5, -0.5)
            below.imshow(record.weights, cmap="Greys", vmin=0, aspect="auto", extent=extent)
