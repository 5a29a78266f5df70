"""An image encoder that is not trained any more, made for one image at a time on a CPU.

Batch norms are folded into the convolutions before them, weights lie in oneDNN's own layout from the start, LeakyReLU is
applied within the products, and log sigma^2 is left out. The encoder's mu comes out, but for rounding, in half the time.
"""

import itertools
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from embedding.pixel_models import SLOPE, ImageEncoder
from envs.pixels import SIZE

STRIDE, PADDING, DILATION = [2, 2], [1, 1], [1, 1]


def frozen(encoder: ImageEncoder) -> Callable[[torch.Tensor], torch.Tensor]:
    """What computes mu (1, D) float32 of one image (1, C, 64, 64) uint8 as `encoder`, in eval mode on a CPU, does.

    Where torch lacks the operators of its compiler that are needed, that is the encoder itself.
    """
    try:
        found = FrozenEncoder(encoder)
        found(torch.zeros(1, encoder.channels, SIZE, SIZE, dtype=torch.uint8))
    except (AttributeError, RuntimeError):  # no such operators in this build of torch, or none for this processor
        return lambda image: encoder(image)[0]
    return found


class FrozenEncoder:
    """mu of one image as a function; see `frozen`.

    Args:
        encoder: `ImageEncoder` in eval mode, on the CPU. Its weights are copied.
    """

    @torch.no_grad()
    def __init__(self, encoder: ImageEncoder) -> None:
        norm, *layers = encoder.convolutions
        assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        self._shift = (norm.bias - norm.running_mean * scale).view(1, -1, 1, 1)
        self._scale = (scale / 255).view(1, -1, 1, 1)
        self._convolutions: list[tuple[torch.Tensor, torch.Tensor]] = []
        size = SIZE
        for layer, after in itertools.pairwise(layers):
            if isinstance(layer, nn.Conv2d):
                if isinstance(after, nn.BatchNorm2d):
                    layer = fuse_conv_bn_eval(layer, after)
                pack = torch.ops.mkldnn._reorder_convolution_weight.default
                weight = pack(layer.weight, PADDING, STRIDE, DILATION, 1, [1, layer.in_channels, size, size])
                assert layer.bias is not None
                self._convolutions.append((weight, layer.bias.detach()))
                size //= 2
        hidden, _, last = encoder.layers
        assert isinstance(hidden, nn.Linear) and isinstance(last, nn.Linear)
        pack = torch.ops.mkldnn._reorder_linear_weight.default
        self._hidden = pack(hidden.weight, 1), hidden.bias.detach()
        self._last = pack(last.weight[: encoder.width].contiguous(), 1), last.bias[: encoder.width].clone()

    @torch.no_grad()
    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """(1, C, 64, 64) uint8 to (1, D)."""
        x, leaky = image.float().mul_(self._scale).add_(self._shift), ("leaky_relu", [SLOPE], "")
        convolution = torch.ops.mkldnn._convolution_pointwise.default
        linear = torch.ops.mkldnn._linear_pointwise.default
        for weight, bias in self._convolutions:
            x = convolution(x, weight, bias, PADDING, STRIDE, DILATION, 1, *leaky)
        return linear(linear(x.flatten(1), *self._hidden, *leaky), *self._last, "none", [], "")
