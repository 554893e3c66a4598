"""Computes `losses.txt` with PyTorch: the losses of four models over 50 steps.

Weights and data come from a formula that `tests/reference.rs` computes too, bit for bit, so the losses are all that is
kept. Run with any recent PyTorch on the CPU:

    python tests/reference/make.py > tests/reference/losses.txt
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

STEPS = 50
BATCHES = 4
MASK = (1 << 64) - 1


def word(name, index):
    """64 bits that depend on a name and a number."""
    state = 0xCBF29CE484222325
    for byte in name.encode():
        state = (state ^ byte) * 0x100000001B3 & MASK
    z = state + (index + 1) * 0x9E3779B97F4A7C15 & MASK
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
    return z ^ (z >> 31)


def numbers(name, dims, bound, middle=0.0):
    """Numbers within `bound` of `middle`."""
    count = math.prod(dims)
    values = [(word(name, i) >> 40) / (1 << 24) for i in range(count)]
    values = [middle + (2 * v - 1) * bound for v in values]
    return torch.tensor(values, dtype=torch.float64).to(torch.float32).reshape(dims)


def labels(name, dims, classes):
    values = [word(name, i) % classes for i in range(math.prod(dims))]
    return torch.tensor(values).reshape(dims)


def initialise(model):
    for name, param in model.named_parameters():
        dims = tuple(param.shape)
        if len(dims) > 1:
            value = numbers(name, dims, 1 / math.sqrt(math.prod(dims[1:])))
        elif name.endswith("weight"):
            value = numbers(name, dims, 0.1, 1.0)
        else:
            value = numbers(name, dims, 0.1)
        with torch.no_grad():
            param.copy_(value)


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(16, 32)
        self.second = nn.Linear(32, 32)
        self.third = nn.Linear(32, 5)

    def forward(self, x):
        return self.third(F.gelu(self.second(F.relu(self.first(x)))))


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.second = nn.Conv2d(6, 8, 3)
        self.head = nn.Linear(128, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.first(x))), 2)
        return self.head(F.relu(self.second(x)).flatten(1))


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 16, 2)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        out, _ = self.lstm(x)
        return self.head(out[-1])


class Block(nn.Module):
    def __init__(self, features, heads):
        super().__init__()
        self.attention_norm = nn.LayerNorm(features)
        self.attention = nn.MultiheadAttention(features, heads, batch_first=True)
        self.norm = nn.LayerNorm(features)
        self.wide = nn.Linear(features, 4 * features)
        self.narrow = nn.Linear(4 * features, features)

    def forward(self, x):
        length = x.shape[1]
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        y = self.attention_norm(x)
        x = x + self.attention(y, y, y, attn_mask=later, need_weights=False)[0]
        return x + self.narrow(F.gelu(self.wide(self.norm(x))))


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(20, 24)
        self.places = nn.Embedding(12, 24)
        self.blocks = nn.ModuleList([Block(24, 4) for _ in range(2)])
        self.norm = nn.LayerNorm(24)
        self.head = nn.Linear(24, 20, bias=False)

    def forward(self, x):
        x = self.tokens(x) + self.places(torch.arange(x.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)).flatten(0, 1)


def train(name, model, data, optimizer, schedule=None):
    initialise(model)
    optimizer = optimizer(model.parameters())
    schedule = schedule(optimizer) if schedule else None
    losses = []
    for step in range(STEPS):
        x, y = data(step % BATCHES)
        loss = F.cross_entropy(model(x), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if schedule:
            schedule.step()
        losses.append(loss.item())
    print(name, *(f"{loss:.8f}" for loss in losses))


def classified(name, dims, count, classes):
    return lambda batch: (
        numbers(f"{name} x {batch}", dims, 1.7),
        labels(f"{name} y {batch}", (count,), classes),
    )


def texts(batch):
    text = labels(f"gpt {batch}", (6, 13), 20)
    return text[:, :-1], text[:, 1:]


def main():
    optim, schedules = torch.optim, torch.optim.lr_scheduler
    train(
        "mlp",
        Mlp(),
        classified("mlp", (24, 16), 24, 5),
        lambda p: optim.SGD(p, 0.05, momentum=0.9, weight_decay=1e-3),
        lambda o: schedules.StepLR(o, 20, 0.5),
    )
    train(
        "cnn",
        Cnn(),
        classified("cnn", (16, 1, 12, 12), 16, 10),
        lambda p: optim.AdamW(p, 2e-3),
        lambda o: schedules.CosineAnnealingLR(o, STEPS),
    )
    train("lstm", Lstm(), classified("lstm", (9, 8, 6), 8, 4), lambda p: optim.Adam(p, 5e-3))
    train(
        "gpt",
        Gpt(),
        texts,
        lambda p: optim.AdamW(p, 1e-3),
        lambda o: schedules.OneCycleLR(o, 5e-3, STEPS, cycle_momentum=False),
    )


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
