"""The vision encoder: one slot per patch or cell of the last grid.

Letters: B images, H = W pixels per side, h × w cells, S = h · w; K and D as in ``encoder``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import NonNegativeInt
from torch import Tensor

from multiattn import Grid, Memory, Probability, UserError
from multiattn_huggingface.encoder import HuggingFaceEncoder, Layer
from multiattn_huggingface.families import VisionModelSpec

FIXED_SIZE = ("vit", "deit", "clip_vision_model")  # have a position embedding for each patch
# How many images pass through a frozen model together. The number is constant because kernels are
# chosen by batch size and round differently. On a CPU one at a time is as fast as many.
FROZEN_BATCH_SIZE, FROZEN_BATCH_SIZE_ON_CPU = 32, 1


class VisionEncoder(HuggingFaceEncoder):
    """ViT, DeiT, CLIP's vision model, DINOv2, ResNet, ConvNeXt or ConvNeXt V2.

    The summary is the class token of a transformer and the mean of the slots of a convolutional
    network. Pixels are normalised with the model's own mean and deviation.

    layer, train_from: see ``HuggingFaceEncoder``; the layers of a convolutional network are its
        stages, which differ in width, so ``all`` is not possible for it.
    gradient_checkpointing: recompute the layers in the backward pass: less memory, more time.
    projection_dim: width of a linear layer with ReLU applied to each slot; 0: no such layer.
    dropout: on the slots; not on the summary.
    Raises UserError for a model of another kind, for layers that it does not have, and for images
    of a size that it is not made for.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        input_spec: VisionModelSpec,
        *,
        layer: Layer = -1,
        train_from: NonNegativeInt | None = None,
        gradient_checkpointing: bool = False,
        projection_dim: NonNegativeInt = 0,
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__(
            input_spec,
            "vision",
            layer=layer,
            train_from=train_from,
            gradient_checkpointing=gradient_checkpointing,
            projection_dim=projection_dim,
            dropout=dropout,
        )
        self.size = input_spec.size
        _check_size(self.network.config, self.size)
        processor = json.loads(input_spec.processor)
        self.scale = float(processor.get("rescale_factor", 1 / 255))
        for name, key, neutral in (("mean", "image_mean", 0.0), ("deviation", "image_std", 1.0)):
            values = processor.get(key) if processor.get("do_normalize", True) else None
            values = [neutral] * 3 if values is None else values
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1))

    def forward(self, inputs: Tensor, lengths: Tensor) -> Memory:
        """Encode images (B, 3, H, W), uint8, all of one size; lengths (B,) are ignored."""
        return self.forward_features(self.features(inputs, lengths))

    @torch.no_grad()
    def features(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """The outputs of the layers in use of a frozen model, in float16.

        (B, K, T, D) of a transformer, with the tokens before the patches, or (B, K, D, h, w). An
        image's are the same, to the bit, whatever else is in the batch. Of a model that is trained,
        if only in part, they are the normalised images, (B, 3, H, W), in the encoder's precision.
        """
        with torch.autocast(inputs.device.type, enabled=False):
            images = (inputs.to(self.mean.dtype) * self.scale - self.mean) / self.deviation
            return _in_fixed_batches(self._outputs, images).half() if self.frozen else images

    def forward_features(self, features: Tensor) -> Memory:
        """The memory from the output of ``features``: values (B, S, D), row by row."""
        features = features.to(self.mean.dtype)
        outputs = self.mixed(features if self.frozen else self._outputs(features))
        if outputs.dim() == 4:
            height, width = outputs.shape[2:]
            slots = self.slots_of(outputs.flatten(2).transpose(1, 2))
            summary = slots.mean(1)
        else:
            slots = self.slots_of(outputs[:, self.family.first_tokens :])
            summary = self.slots_of(outputs[:, 0])
            height = width = round(slots.size(1) ** 0.5)  # images are square
        mask = torch.ones(slots.shape[:2], dtype=torch.bool, device=slots.device)
        return Memory(self.dropout(slots), mask, Grid(height, width), summary)

    def example_inputs(self) -> tuple[Tensor, Tensor]:
        """A batch of two random images."""
        side = self.size if self.family.first_tokens else min(self.size, 64)
        return torch.randint(256, (2, 3, side, side), dtype=torch.uint8), torch.ones(2).long()

    def _outputs(self, images: Tensor) -> Tensor:
        """The outputs (B, K, …) of the layers in use for normalised images."""
        output = self.network(pixel_values=images, output_hidden_states=True)
        if self.family.first_tokens:
            return self.kept(output.hidden_states, output.last_hidden_state)
        stage: Tensor = output.hidden_states[self.layer]
        return stage.unsqueeze(1)


def _check_size(config: Any, size: int) -> None:
    """Raise UserError for images whose side does not suit the model."""
    patch = getattr(config, "patch_size", 1)
    if config.model_type in FIXED_SIZE and size != config.image_size:
        raise UserError(
            f"expected images of {config.image_size} pixels a side, which the model is made for, "
            f"got {size}; leave out `of` of the reader hf-vision, or correct its size"
        )
    if size < patch or (config.model_type == "dinov2" and size % patch):
        raise UserError(
            f"expected images whose side is a multiple of {patch} pixels, the model's patches, got "
            f"{size}; correct the size in `of` of the reader hf-vision"
        )


def _in_fixed_batches(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Apply ``function`` to batches of a fixed size, the last one padded with zeros."""
    size = FROZEN_BATCH_SIZE_ON_CPU if images.device.type == "cpu" else FROZEN_BATCH_SIZE
    padded = F.pad(images, (0,) * 7 + (-len(images) % size,))
    return torch.cat([function(batch) for batch in torch.split(padded, size)])[: len(images)]
