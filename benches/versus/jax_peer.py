"""jax.jit."""

import jax
import jax.numpy as jnp
from jax import lax

#: Whether memory of the first call counts.
FIRST_CALL_COUNTS = True


class F:
    """Operations."""

    relu = staticmethod(jax.nn.relu)
    tanh = staticmethod(jnp.tanh)
    matmul = staticmethod(jnp.matmul)
    reshape = staticmethod(jnp.reshape)
    permute = staticmethod(jnp.transpose)

    def gelu(x):
        return jax.nn.gelu(x, approximate=False)

    def gelu_tanh(x):
        return jax.nn.gelu(x, approximate=True)

    def softmax(x):
        return jax.nn.softmax(x, -1)

    def sum_of_squares(x, axis):
        return (x * x).sum(axis)

    def linear(x, weight, bias):
        y = x @ weight.T
        return y if bias is None else y + bias

    def layer_norm(x, weight, bias, eps):
        mean = x.mean(-1, keepdims=True)
        variance = x.var(-1, keepdims=True)
        return (x - mean) * lax.rsqrt(variance + eps) * weight + bias

    def conv(x, weight, bias, stride, padding, groups):
        around = [(padding, padding)] * 2
        y = lax.conv_general_dilated(x, weight, (stride, stride), around, feature_group_count=groups)
        return y if bias is None else y + bias[:, None, None]

    def batch_norm(x, mean, variance, weight, bias):
        scale = weight * lax.rsqrt(variance + 1e-5)
        return x * scale[:, None, None] + (bias - mean * scale)[:, None, None]

    def max_pool(x, window, stride, padding):
        around = [(0, 0)] * 2 + [(padding, padding)] * 2
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, window, window), (1, 1, stride, stride), around)

    def attention(query, key, value, causal):
        # jax's own function wants the heads behind the sequence.
        query, key, value = (x.transpose(0, 2, 1, 3) for x in (query, key, value))
        return jax.nn.dot_product_attention(query, key, value, is_causal=causal).transpose(0, 2, 1, 3)

    def embedding(table, numbers):
        return table[numbers]

    def select(x, axis, index):
        return lax.index_in_dim(x, index, axis, keepdims=False)

    def narrow(x, axis, length):
        return lax.slice_in_dim(x, 0, length, axis=axis)

    def mean(x, axes):
        return x.mean(axes)

    def cat(parts, axis):
        return jnp.concatenate(parts, axis)

    def stack(parts, axis):
        return jnp.stack(parts, axis)

    def cross_entropy(logits, labels):
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1)
        return -chosen.mean()

    def lstm(x, weights):
        to_gates, again, bias, more = weights
        hidden = again.shape[1]
        given = x @ to_gates.T + (bias + more)

        def step(state, given):
            h, c = state
            i, f, g, o = jnp.split(given + h @ again.T, 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        zeros = jnp.zeros((x.shape[0], hidden), x.dtype)
        _, states = lax.scan(step, (zeros, zeros), given.transpose(1, 0, 2))
        return states.transpose(1, 0, 2)


#: Constants up to so many bytes are compiled in; beyond that they are arguments, as jax's own models do it.
CONSTANTS = 16 << 20


def start(threads):
    # Threads are as many as the process may use cores, which its parent has seen to.
    assert len(jax.devices()) == 1


def trivial(trains):
    """The smallest program of the kind."""
    loss = lambda w: jnp.sum(jnp.ones((2, 4)) @ w)
    function = jax.grad(loss) if trains else lambda w: w + w
    return jax.jit(function)(jnp.ones((4, 2))).block_until_ready()


def array(values):
    return jnp.array(values)


def values(result):
    return jax.device_get(result)


def build(workload, p, _compiled):
    """The step, which gives a list of results."""
    arguments = {name: p[name] for name in workload.arguments}
    constants = {name: value for name, value in p.items() if name not in arguments}
    if workload.kind == "train":
        return training(workload, arguments, constants)
    if sum(value.nbytes for value in constants.values()) > CONSTANTS:
        arguments, constants = arguments | constants, {}
    if workload.kind == "gradient":
        function = jax.jit(lambda arguments: gradients(workload, arguments))
    else:
        function = jax.jit(lambda arguments: workload.function(F, constants | arguments))

    def step():
        results = jax.block_until_ready(function(arguments))
        return list(results) if isinstance(results, tuple) else [results]

    return step


def gradients(workload, arguments):
    rest = {name: value for name, value in arguments.items() if name not in workload.wrt}
    of = lambda wrt: workload.function(F, rest | wrt)
    result, pull = jax.vjp(of, {name: arguments[name] for name in workload.wrt})
    (found,) = pull(arguments["gradient"])
    return (result, *(found[name] for name in workload.wrt))


def adamw(parameter, gradient, mean, square, count):
    mean = 0.9 * mean + 0.1 * gradient
    square = 0.999 * square + 0.001 * gradient * gradient
    root = jnp.sqrt(square) / jnp.sqrt(1 - 0.999**count) + 1e-8
    parameter = parameter * (1 - 1e-3 * 1e-2) - 1e-3 / (1 - 0.9**count) * mean / root
    return parameter, mean, square


def training(workload, arguments, parameters):
    loss_of = lambda parameters, arguments: workload.function(F, parameters | arguments)
    zeros = {name: jnp.zeros_like(value) for name, value in parameters.items()}
    state = [parameters, zeros, {name: jnp.zeros_like(v) for name, v in zeros.items()}, jnp.float32(0)]

    def update(parameters, means, squares, count, arguments):
        loss, gradients = jax.value_and_grad(loss_of)(parameters, arguments)
        if workload.optimizer == "sgd":
            parameters = jax.tree.map(lambda p, g: p - 0.01 * g, parameters, gradients)
            return loss, (parameters, means, squares, count)
        count = count + 1
        new = {n: adamw(p, gradients[n], means[n], squares[n], count) for n, p in parameters.items()}
        parameters, means, squares = ({n: v[i] for n, v in new.items()} for i in range(3))
        return loss, (parameters, means, squares, count)

    update = jax.jit(update, donate_argnums=(0, 1, 2))

    def step():
        loss, state[:] = jax.block_until_ready(update(*state, arguments))
        return [loss]

    return step
