import pytest
import torch

from benchmarks.serving.folded import FoldedEnds
from training.networks.cyclegan import Generator


@pytest.mark.parametrize(("height", "width"), [(16, 16), (20, 32)])
@torch.inference_mode()
def test_a_folded_generator_computes_the_same(height: int, width: int) -> None:
    torch.manual_seed(0)
    generator = Generator(4, 1, norm="none").eval()
    for name, weight in generator.named_parameters():
        if name.endswith(".bias"):  # which are zero in a new generator
            weight.normal_(std=0.1)
    images = torch.rand(2, 3, height, width) * 2 - 1
    torch.testing.assert_close(FoldedEnds(generator)(images), generator(images), atol=1e-5, rtol=0)
