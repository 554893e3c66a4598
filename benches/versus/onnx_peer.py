"""onnxruntime: the workload's graph is written node by node, with constants as initialisers."""

import numpy as np
import onnx
import onnxruntime as runtime
from onnx import TensorProto, helper, numpy_helper

OPSET = 23


class Value:
    """A value of the graph being written."""

    def __init__(self, graph, name):
        self.graph, self.name = graph, name

    def __add__(self, other):
        return self.graph.node("Add", [self, other])

    def __sub__(self, other):
        return self.graph.node("Sub", [self, other])

    def __mul__(self, other):
        return self.graph.node("Mul", [self, other])

    @property
    def shape(self):
        return self.graph.constants[self.name].shape


class Graph:
    """Nodes and constants."""

    def __init__(self):
        self.nodes, self.constants, self.count = [], {}, 0

    def fresh(self):
        self.count += 1
        return f"v{self.count}"

    def constant(self, array):
        name = self.fresh()
        # Unlike ascontiguousarray this leaves numbers without axes.
        self.constants[name] = np.array(array, order="C", copy=None)
        return Value(self, name)

    def value(self, x):
        return x if isinstance(x, Value) else self.constant(np.float32(x))

    def node(self, op, inputs, **attributes):
        names = ["" if x is None else self.value(x).name for x in inputs]
        name = self.fresh()
        self.nodes.append(helper.make_node(op, names, [name], **attributes))
        return Value(self, name)

#: What writing the model takes is not what running it takes.
FIRST_CALL_COUNTS = False


class F:
    """Operations, on values of a graph."""

    def __init__(self, graph):
        self.graph = graph

    def node(self, op, *inputs, **attributes):
        return self.graph.node(op, inputs, **attributes)

    def axes(self, *numbers):
        return self.graph.constant(np.array(numbers, np.int64))

    def gelu(self, x):
        return self.node("Gelu", x)

    def gelu_tanh(self, x):
        return self.node("Gelu", x, approximate="tanh")

    def relu(self, x):
        return self.node("Relu", x)

    def tanh(self, x):
        return self.node("Tanh", x)

    def softmax(self, x):
        return self.node("Softmax", x, axis=-1)

    def sum_of_squares(self, x, axis):
        if axis is None:
            return self.node("ReduceSumSquare", x, keepdims=0)
        return self.node("ReduceSumSquare", x, self.axes(axis), keepdims=0)

    def layer_norm(self, x, weight, bias, eps):
        return self.node("LayerNormalization", x, weight, bias, axis=-1, epsilon=eps)

    def matmul(self, x, y):
        return self.node("MatMul", x, y)

    def linear(self, x, weight, bias):
        if weight.name in self.graph.constants:
            weight = self.graph.constant(self.graph.constants[weight.name].T)
        else:
            weight = self.node("Transpose", weight, perm=[1, 0])
        y = self.matmul(x, weight)
        return y if bias is None else y + bias

    def conv(self, x, weight, bias, stride, padding, groups):
        options = {"strides": [stride] * 2, "pads": [padding] * 4, "group": groups}
        inputs = [x, weight] if bias is None else [x, weight, bias]
        return self.node("Conv", *inputs, **options)

    def batch_norm(self, x, mean, variance, weight, bias):
        return self.node("BatchNormalization", x, weight, bias, mean, variance, epsilon=1e-5)

    def max_pool(self, x, window, stride, padding):
        options = {"kernel_shape": [window] * 2, "strides": [stride] * 2, "pads": [padding] * 4}
        return self.node("MaxPool", x, **options)

    def attention(self, query, key, value, causal):
        return self.node("Attention", query, key, value, is_causal=int(causal))

    def embedding(self, table, numbers):
        return self.node("Gather", table, numbers, axis=0)

    def select(self, x, axis, index):
        return self.node("Gather", x, self.graph.constant(np.int64(index)), axis=axis)

    def narrow(self, x, axis, length):
        return self.node("Slice", x, self.axes(0), self.axes(length), self.axes(axis))

    def mean(self, x, axes):
        return self.node("ReduceMean", x, self.axes(*axes), keepdims=0)

    def reshape(self, x, dims):
        return self.node("Reshape", x, self.axes(*dims))

    def permute(self, x, order):
        return self.node("Transpose", x, perm=order)

    def cat(self, parts, axis):
        return self.node("Concat", *parts, axis=axis)

    def stack(self, parts, axis):
        inside = [self.node("Unsqueeze", part, self.axes(axis)) for part in parts]
        return self.cat(inside, axis)


def options(threads):
    chosen = runtime.SessionOptions()
    chosen.intra_op_num_threads = threads
    chosen.inter_op_num_threads = 1
    return chosen


THREADS = 1


def start(threads):
    global THREADS
    THREADS = threads


def session(graph, arguments, results):
    """A session that runs the graph."""
    kinds = {np.dtype(np.float32): TensorProto.FLOAT, np.dtype(np.int64): TensorProto.INT64}
    inputs = [
        helper.make_tensor_value_info(name, kinds[array.dtype], array.shape)
        for name, array in arguments.items()
    ]
    outputs = [helper.make_tensor_value_info(r.name, TensorProto.FLOAT, None) for r in results]
    used = {name for node in graph.nodes for name in node.input}
    constants = [numpy_helper.from_array(a, n) for n, a in graph.constants.items() if n in used]
    written = helper.make_graph(graph.nodes, "workload", inputs, outputs, constants)
    model = helper.make_model(written, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    content = model.SerializeToString()
    graph.constants.clear()
    del model, written, constants
    return runtime.InferenceSession(content, options(THREADS), providers=["CPUExecutionProvider"])


def trivial(_trains):
    """The smallest program."""
    x = np.ones(8, np.float32)
    graph = Graph()
    total = Value(graph, "x") + Value(graph, "x")
    return session(graph, {"x": x}, [total]).run(None, {"x": x})


def array(values):
    return values


def values(result):
    return result


def build(workload, p, _compiled):
    """The step, which gives a list of results."""
    if workload.kind != "forward":
        raise NotImplementedError("onnxruntime is for inference")
    graph, arguments = Graph(), {name: p[name] for name in workload.arguments}
    inside = {}
    for name, value in p.items():
        inside[name] = Value(graph, name)
        if name not in arguments:
            graph.constants[name] = value
    p.clear()
    results = workload.function(F(graph), inside)
    results = list(results) if isinstance(results, tuple) else [results]
    ready = []

    def step():
        # The first call prepares the session, as others compile.
        if not ready:
            ready.append(session(graph, arguments, results))
        return ready[0].run(None, arguments)

    return step
