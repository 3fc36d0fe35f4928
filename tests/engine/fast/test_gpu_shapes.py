"""What the Triton loop prepares with PyTorch alone: blocks, reaches, a convolution as a product."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from multiattn.engine.fast.gpu import shapes

pytestmark = pytest.mark.usefixtures("double")


@pytest.mark.parametrize("slots", [1, 4, 9])
@pytest.mark.parametrize("width", [1, 5, 31])
def test_a_product_with_the_toeplitz_matrix_is_the_convolution(slots, width):
    convolution = torch.randn(3, 1, width, requires_grad=True)
    weights, pull = torch.randn(2, slots), torch.randn(2, slots, 16)
    pull[:, :, 3:] = 0
    matrix = shapes.toeplitz(convolution.detach(), slots, 16)
    product = (weights @ matrix).view(2, slots, 16)
    expected = F.conv1d(weights.unsqueeze(1), convolution, padding=width // 2).transpose(1, 2)
    torch.testing.assert_close(product[:, :, :3], expected)
    assert not product[:, :, 3:].any()
    (gradient,) = torch.autograd.grad((expected * pull[:, :, :3]).sum(), convolution)
    found = shapes.convolution_gradient(weights.t() @ pull.flatten(1), convolution)
    torch.testing.assert_close(found, gradient, rtol=1e-5, atol=1e-5)  # it sums in float32


def test_the_reach_of_a_row_ends_after_its_last_real_slot():
    mask = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 0]], dtype=torch.bool)
    assert shapes.reach_of(mask).tolist() == [3, 1, 2, 0]


def test_blocks_are_powers_of_two_that_pad_a_width_by_a_quarter_at_most():
    for width in range(16, 2049, 16):
        block = shapes.block_of(width)
        assert block & (block - 1) == 0
        assert 16 <= block <= shapes.LARGEST_BLOCK
        assert width <= -(-width // block) * block <= 1.25 * width


@pytest.mark.parametrize("rows", [1, 32, 127, 128, 512])
@pytest.mark.parametrize("slots", [1, 36, 64, 65, 250])
def test_the_launches_of_a_step_do_each_half_once_over_all_columns(rows, slots):
    shape = shapes.Shape(4, rows, slots, 16, 320, 512, 832, 0, fast=False)
    launches = shape.halves(320, 512)
    assert sum(cuts["first_half"] for _, cuts in launches) == 1
    ((programs, cuts),) = [launch for launch in launches if launch[1]["second_half"]]
    assert programs * cuts["second_blocks"] * cuts["second_block"] >= 512
    assert (len(launches) == 2) == (rows < shapes.FEW_ROWS and slots > shapes.MANY_SLOTS)
