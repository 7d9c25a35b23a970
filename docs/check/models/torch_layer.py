"""Five small models in one: a norm, an LSTM, a convolution with batch
norm in training, an embedding, and one that has two outputs."""

import numpy as np
import torch
from torch import nn

INPUTS = {
    "x": (5, 7),
    "series": (2, 6, 3),
    "image": (3, 2, 5, 4),
    "ids": np.array([[4, 0, 4], [1, 4, 8]]),  # 4 is there three times
    "z": (5, 3),
}


class Models(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(7)
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.conv = nn.Conv2d(2, 3, kernel_size=3, padding=1)
        self.batch_norm = nn.BatchNorm2d(3)
        self.embedding = nn.Embedding(9, 5)
        self.mean = nn.Linear(3, 2)
        self.spread = nn.Linear(3, 2)

    def forward(self, x, series, image, ids, z):
        states, (last, cell) = self.lstm(series)
        return {
            "norm": self.norm(x),
            "lstm": {"states": states, "last": last, "cell": cell},
            "conv": self.batch_norm(self.conv(image)),
            "embedding": self.embedding(ids).sum(dim=1),
            "heads": (self.mean(z), torch.exp(self.spread(z))),
        }


def make():
    model = Models().train()
    for norm in (model.norm, model.batch_norm):  # not ones and zeros
        nn.init.normal_(norm.weight, 1.0, 0.1)
        nn.init.normal_(norm.bias, 0.0, 0.1)
    return model
