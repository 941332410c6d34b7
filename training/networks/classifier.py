"""A small digit classifier, for measuring mode collapse and scores."""

from torch import Tensor, nn


class DigitClassifier(nn.Module):
    """Two convolutions and a linear layer, about 99% right on MNIST after an epoch or two."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(32 * 7 * 7, 128),
            nn.ReLU(inplace=True),
        )
        self.classify = nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        """x (N, 1, 28, 28) in [-1, 1] -> logits (N, 10); `features` gives the (N, 128) before them."""
        return self.classify(self.features(x))
