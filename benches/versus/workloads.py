"""The workloads, written once for all frameworks.

Each is a function of `F`, the framework's operations (torch_peer.py, jax_peer.py and onnx_peer.py have them by
the same names), and `p`, its inputs and parameters by the names that `lazulite-bench given` writes. Their meaning is
that of bench/src/workloads: every peer's first results are held against Lazulite's before anything is timed.
"""


class Workload:
    def __init__(self, function, arguments, kind="forward", optimizer=None, wrt=(), labels=None):
        self.function = function
        self.arguments = arguments  # what is given anew at every call; the rest of `p` is constant
        self.kind = kind  # "forward", "gradient" or "train"
        self.optimizer = optimizer  # "sgd" or "adamw", for training
        self.wrt = wrt  # whose gradients are wanted, for gradients
        self.labels = labels  # arguments that are no floats are labels or token numbers


def gelu(F, p):
    return F.gelu_tanh(p["x"] * 1.5 + p["z"])


def chain(F, p):
    x = p["x"]
    for _ in range(5):
        x = F.relu(x * 1.01 + 0.5) - 0.25
    return x


def layernorm_gelu(F, p):
    return F.gelu(F.layer_norm(p["x"], p["weight"], p["bias"], 1e-5))


def linear_ln_gelu(F, p):
    y = F.linear(p["x"], p["weight"], p["bias"])
    return F.gelu(F.layer_norm(y, p["norm_weight"], p["norm_bias"], 1e-5))


def conv(window, stride, groups):
    def run(F, p):
        return F.relu(F.conv(p["x"], p["weight"], None, stride, window // 2, groups))

    return Workload(run, ["x"])


def attention(causal):
    def run(F, p):
        return F.attention(p["query"], p["key"], p["value"], causal)

    return run


def mlp(layers):
    def run(F, p):
        x = p["x"]
        for i in layers:
            x = F.linear(x, p[f"{i}.weight"], p[f"{i}.bias"])
            x = F.relu(x) if i != layers[-1] else x
        return F.cross_entropy(x, p["y"])

    return run


def mnist_cnn(F, p):
    x = F.relu(F.conv(p["x"], p["0.weight"], p["0.bias"], 1, 0, 1))
    x = F.relu(F.conv(x, p["2.weight"], p["2.bias"], 1, 0, 1))
    x = F.reshape(F.max_pool(x, 2, 2, 0), [64, 9216])
    x = F.relu(F.linear(x, p["6.weight"], p["6.bias"]))
    return F.cross_entropy(F.linear(x, p["8.weight"], p["8.bias"]), p["y"])


def lstm(F, p):
    weights = [p[f"lstm.{kind}_l0"] for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    states = F.lstm(p["x"], weights)
    return F.cross_entropy(F.linear(F.select(states, 1, -1), p["head.weight"], p["head.bias"]), p["y"])


class Transformer:
    """Blocks of attention and two linear maps; sizes are those of the workload."""

    def __init__(self, batch, length, width, heads, layers, causal, eps, tanh):
        self.batch, self.length, self.width, self.heads = batch, length, width, heads
        self.layers, self.causal, self.eps, self.tanh = layers, causal, eps, tanh

    def norm(self, F, p, name, x):
        return F.layer_norm(x, p[f"{name}.weight"], p[f"{name}.bias"], self.eps)

    def linear(self, F, p, name, x):
        return F.linear(x, p[f"{name}.weight"], p[f"{name}.bias"])

    def project(self, F, p, name, x):
        qkv = self.linear(F, p, f"{name}.attention.qkv", x)
        parts = F.reshape(qkv, [self.batch, self.length, 3, self.heads, self.width // self.heads])
        return [F.permute(F.select(parts, 2, i), [0, 2, 1, 3]) for i in range(3)]

    def attend(self, F, p, name, query, key, value, causal):
        found = F.permute(F.attention(query, key, value, causal), [0, 2, 1, 3])
        found = F.reshape(found, [self.batch, self.length, self.width])
        return self.linear(F, p, f"{name}.attention.out", found)

    def attention(self, F, p, name, x):
        return self.attend(F, p, name, *self.project(F, p, name, x), self.causal)

    def expand(self, F, p, name, x):
        hidden = self.linear(F, p, f"{name}.wide", x)
        hidden = F.gelu_tanh(hidden) if self.tanh else F.gelu(hidden)
        return self.linear(F, p, f"{name}.narrow", hidden)

    def gpt(self, F, p):
        x = F.embedding(p["tokens.weight"], p["x"]) + F.narrow(p["places.weight"], 0, self.length)
        for i in range(self.layers):
            name = f"blocks.{i}"
            x = x + self.attention(F, p, name, self.norm(F, p, f"{name}.norm1", x))
            x = x + self.expand(F, p, name, self.norm(F, p, f"{name}.norm2", x))
        return F.linear(self.norm(F, p, "norm", x), p["tokens.weight"], None)

    def gpt_loss(self, F, p):
        logits = F.reshape(self.gpt(F, p), [self.batch * self.length, -1])
        return F.cross_entropy(logits, F.reshape(p["y"], [self.batch * self.length]))

    def decode(self, F, p):
        x = F.embedding(p["tokens.weight"], p["token"]) + F.embedding(p["places.weight"], p["place"])
        own = []
        for i in range(self.layers):
            name, cache = f"blocks.{i}", F.select(p["caches"], 0, i)
            query, key, value = self.project(F, p, name, self.norm(F, p, f"{name}.norm1", x))
            keys = F.cat([F.select(cache, 0, 0), key], 2)
            values = F.cat([F.select(cache, 0, 1), value], 2)
            x = x + self.attend(F, p, name, query, keys, values, False)
            x = x + self.expand(F, p, name, self.norm(F, p, f"{name}.norm2", x))
            own.append(F.stack([key, value], 0))
        return F.linear(self.norm(F, p, "norm", x), p["tokens.weight"], None), F.stack(own, 0)

    def bert(self, F, p):
        x = F.embedding(p["tokens.weight"], p["x"]) + F.embedding(p["segments.weight"], p["segments"])
        x = self.norm(F, p, "norm", x + F.narrow(p["places.weight"], 0, self.length))
        for i in range(self.layers):
            name = f"blocks.{i}"
            x = self.norm(F, p, f"{name}.norm1", x + self.attention(F, p, name, x))
            x = self.norm(F, p, f"{name}.norm2", x + self.expand(F, p, name, x))
        return x, F.tanh(self.linear(F, p, "pooler", F.select(x, 1, 0)))


def resnet50(F, p):
    def unit(name, x, stride):
        weight = p[f"{name}.conv.weight"]
        x = F.conv(x, weight, None, stride, weight.shape[2] // 2, 1)
        names = ("running_mean", "running_var", "weight", "bias")
        return F.batch_norm(x, *(p[f"{name}.norm.{part}"] for part in names))

    x = F.max_pool(F.relu(unit("stem", p["x"], 2)), 3, 2, 1)
    block = 0
    for stage, count in enumerate([3, 4, 6, 3]):
        for i in range(count):
            name, stride = f"blocks.{block}", 2 if i == 0 and stage > 0 else 1
            y = F.relu(unit(f"{name}.narrow", x, 1))
            y = F.relu(unit(f"{name}.middle", y, stride))
            y = unit(f"{name}.wide", y, 1)
            if f"{name}.shortcut.conv.weight" in p:
                x = unit(f"{name}.shortcut", x, stride)
            x = F.relu(y + x)
            block += 1
    return F.linear(F.mean(x, (2, 3)), p["head.weight"], p["head.bias"])


def table():
    """All workloads by name."""
    add = Workload(lambda F, p: p["x"] + p["y"], ["x", "y"])
    all_ = {"dispatch_add8": add, "record_add8": add}
    all_ |= {f"gelu_{size}": Workload(gelu, ["x", "z"]) for size in ("16k", "1m", "16m")}
    all_ |= {f"chain20_{size}": Workload(chain, ["x"]) for size in ("64", "4m")}
    for name, axis in [("rows", 1), ("cols", 0), ("all", None)]:
        all_[f"sumsq_{name}"] = Workload(lambda F, p, axis=axis: F.sum_of_squares(p["x"], axis), ["x"])
    all_["softmax_4096x1024"] = Workload(lambda F, p: F.softmax(p["x"]), ["x"])
    all_["layernorm_gelu_4096x1024"] = Workload(layernorm_gelu, ["x", "weight", "bias"])
    names = ["x", "weight", "bias", "norm_weight", "norm_bias"]
    all_["linear_ln_gelu"] = Workload(linear_ln_gelu, names)
    sizes = "64x64x64 128x128x128 256x256x256 512x512x512 1024x1024x1024 2048x2048x2048 1x4096x4096 8x1024x1024"
    product = Workload(lambda F, p: F.matmul(p["x"], p["y"]), ["x", "y"])
    all_ |= {f"matmul_{size}": product for size in f"{sizes} 32x1024x4096".split()}
    all_["bmm_64x128x64x128"] = product
    layers = [("7x7_3_64_224", 7, 2, 1), ("3x3_64_64_56", 3, 1, 1), ("1x1_256_64_56", 1, 1, 1)]
    for name, *options in layers + [("3x3_256_256_14", 3, 1, 1), ("dw3x3_128_56", 3, 1, 128)]:
        all_ |= {f"conv_{name}_b{batch}": conv(*options) for batch in (1, 8)}
    heads = ["query", "key", "value"]
    for name, causal in [("attention_512", False), ("attention_2048_causal", True)]:
        run = attention(causal)
        all_[name] = Workload(run, heads)
        all_[f"{name}_fwdbwd"] = Workload(run, heads + ["gradient"], "gradient", wrt=heads)
    return all_ | training() | models()


def training():
    gpt = Transformer(8, 256, 384, 6, 6, True, 1e-5, True)
    steps = {
        "train_mlp_small_b32_sgd": (mlp([0, 2]), "sgd"),
        "train_mlp_b256_adamw": (mlp([0, 2, 4]), "adamw"),
        "train_mnist_cnn_b64_adamw": (mnist_cnn, "adamw"),
        "train_gpt_6x384_t256_b8": (gpt.gpt_loss, "adamw"),
        "train_lstm_t100_b32": (lstm, "adamw"),
    }
    return {
        name: Workload(loss, ["x", "y"], "train", optimizer=optimizer)
        for name, (loss, optimizer) in steps.items()
    }


def models():
    gpt2 = Transformer(1, 128, 768, 12, 12, True, 1e-5, True)
    token = Transformer(1, 1, 768, 12, 12, False, 1e-5, True)
    bert = Transformer(1, 128, 768, 12, 12, False, 1e-12, False)
    return {
        "infer_gpt2_small_t128_b1": Workload(gpt2.gpt, ["x"]),
        "decode_gpt2_small": Workload(token.decode, ["token", "place", "caches"]),
        "infer_resnet50_b1": Workload(resnet50, ["x"]),
        "infer_resnet50_b8": Workload(resnet50, ["x"]),
        "infer_bert_base_s128_b1": Workload(bert.bert, ["x", "segments"]),
    }
