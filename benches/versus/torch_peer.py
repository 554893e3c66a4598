"""PyTorch, eager and compiled."""

import torch
import torch.nn.functional as f

#: Whether memory of the first call counts.
FIRST_CALL_COUNTS = True


class F:
    """Operations."""

    gelu = staticmethod(f.gelu)
    relu = staticmethod(torch.relu)
    tanh = staticmethod(torch.tanh)
    matmul = staticmethod(torch.matmul)
    linear = staticmethod(f.linear)
    cat = staticmethod(torch.cat)
    stack = staticmethod(torch.stack)
    reshape = staticmethod(torch.reshape)
    permute = staticmethod(torch.permute)
    cross_entropy = staticmethod(f.cross_entropy)

    def gelu_tanh(x):
        return f.gelu(x, approximate="tanh")

    def softmax(x):
        return torch.softmax(x, -1)

    def sum_of_squares(x, axis):
        return (x * x).sum() if axis is None else (x * x).sum(axis)

    def layer_norm(x, weight, bias, eps):
        return f.layer_norm(x, weight.shape, weight, bias, eps)

    def conv(x, weight, bias, stride, padding, groups):
        return f.conv2d(x, weight, bias, stride, padding, 1, groups)

    def batch_norm(x, mean, variance, weight, bias):
        return f.batch_norm(x, mean, variance, weight, bias, False, 0.0, 1e-5)

    def max_pool(x, window, stride, padding):
        return f.max_pool2d(x, window, stride, padding)

    def attention(query, key, value, causal):
        return f.scaled_dot_product_attention(query, key, value, is_causal=causal)

    def embedding(table, numbers):
        return f.embedding(numbers, table)

    def select(x, axis, index):
        return x.select(axis, index)

    def narrow(x, axis, length):
        return x.narrow(axis, 0, length)

    def mean(x, axes):
        return x.mean(axes)

    def lstm(x, weights):
        zeros = torch.zeros(1, x.shape[0], weights[1].shape[1])
        return torch._VF.lstm(x, (zeros, zeros), weights, True, 1, 0.0, True, False, True)[0]


def start(threads):
    torch.set_num_threads(threads)
    torch.manual_seed(0)


def trivial(trains):
    """The smallest program of the kind."""
    if not trains:
        return torch.randn(8) + torch.randn(8)
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    f.cross_entropy(model(torch.randn(2, 4)), torch.zeros(2, dtype=torch.int64)).backward()
    return optimizer.step()


def array(values):
    return torch.from_numpy(values)


def values(result):
    return result.detach().numpy()


def build(workload, p, compiled):
    """The step, which gives a list of results."""
    maybe = torch.compile if compiled else lambda function: function
    if workload.kind == "train":
        return training(workload, p, maybe)
    arguments = {name: p[name] for name in workload.arguments}
    constants = {name: value for name, value in p.items() if name not in arguments}
    if workload.kind == "gradient":
        return gradient(workload, arguments, maybe)
    function = maybe(lambda arguments: workload.function(F, constants | arguments))

    def step():
        with torch.inference_mode():
            results = function(arguments)
        return list(results) if isinstance(results, tuple) else [results]

    return step


def gradient(workload, arguments, maybe):
    wrt = [arguments[name].requires_grad_() for name in workload.wrt]
    function = maybe(lambda arguments: workload.function(F, arguments))

    def step():
        result = function(arguments)
        return [result, *torch.autograd.grad(result, wrt, arguments["gradient"])]

    return step


def training(workload, p, maybe):
    parameters = [v.requires_grad_() for name, v in p.items() if name not in workload.arguments]
    if workload.optimizer == "sgd":
        optimizer = torch.optim.SGD(parameters, 0.01, fused=True)
    else:
        optimizer = torch.optim.AdamW(parameters, 1e-3, fused=True)
    loss_of = maybe(lambda p: workload.function(F, p))

    def step():
        optimizer.zero_grad()
        loss = loss_of(p)
        loss.backward()
        optimizer.step()
        return [loss]

    return step
