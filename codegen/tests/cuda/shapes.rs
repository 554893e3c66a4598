//! Graphs that need every way of spreading kernels over threads, at sizes that do not divide evenly.

use crate::corpus::{Subject, plan};
use lazulite_codegen::cuda::{self, CudaProgram};
use lazulite_ir::arbitrary::Case;
use lazulite_ir::{Array, DType, Graph, Scalar, Symbol, Tolerance, parse_graph};

/// A row softmax over `dims`.
fn softmax(dims: &str) -> String {
    let rows = dims.split(',').next().unwrap();
    format!(
        "graph(%0: f32[{dims}]) {{
          %1 = reduce %0 {{kind=max, axes=[1]}} : f32[{rows}]
          %2 = reshape %1 {{dims=[{rows}, 1]}} : f32[{rows}, 1]
          %3 = expand %2 {{dims=[{dims}]}} : f32[{dims}]
          %4 = neg %3 : f32[{dims}]
          %5 = add %0, %4 : f32[{dims}]
          %6 = exp %5 : f32[{dims}]
          %7 = reduce %6 {{kind=sum, axes=[1]}} : f32[{rows}]
          %8 = reshape %7 {{dims=[{rows}, 1]}} : f32[{rows}, 1]
          %9 = expand %8 {{dims=[{dims}]}} : f32[{dims}]
          %10 = div %6, %9 : f32[{dims}]
          return %10
        }}"
    )
}

/// `max(x w^T + bias, 0)` in element type `ty`.
fn linear(ty: &str, [m, n, k]: [&str; 3]) -> String {
    let zero = if ty.contains('f') { "0.0" } else { "0" };
    format!(
        "graph(%0: {ty}[{m}, {k}], %1: {ty}[{n}, {k}], %2: {ty}[{n}]) {{
          %3 = contract %0, %1 {{lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[1], acc={ty}}} : {ty}[{m}, {n}]
          %4 = reshape %2 {{dims=[1, {n}]}} : {ty}[1, {n}]
          %5 = expand %4 {{dims=[{m}, {n}]}} : {ty}[{m}, {n}]
          %6 = add %3, %5 : {ty}[{m}, {n}]
          %7 = const {{value={ty}({zero})}} : {ty}[]
          %8 = reshape %7 {{dims=[1, 1]}} : {ty}[1, 1]
          %9 = expand %8 {{dims=[{m}, {n}]}} : {ty}[{m}, {n}]
          %10 = max %6, %9 : {ty}[{m}, {n}]
          return %10
        }}"
    )
}

/// Products of a batch of matrices, the first ones transposed.
const BATCHED: &str = "
graph(%0: f32[3, 40, 65], %1: f32[3, 40, 67]) {
  %2 = contract %0, %1 {lhs_batch=[0], rhs_batch=[0], lhs_sum=[1], rhs_sum=[1], acc=f32} : f32[3, 65, 67]
  return %2
}";

/// A product in element type `ty` whose operands have these dims, summed over an axis of each behind `batch` axes, in
/// element type `acc`.
fn product(ty: &str, acc: &str, batch: usize, operands: [(&str, usize); 2]) -> String {
    let [(lhs, lhs_sum), (rhs, rhs_sum)] = operands;
    let axes: Vec<String> = (0..batch).map(|a| a.to_string()).collect();
    let free = |dims: &str, sum: usize, from: usize| {
        let kept = { dims.split(", ").enumerate() }.filter(|(i, _)| *i >= from && *i != sum);
        kept.map(|(_, d)| d.to_owned()).collect::<Vec<_>>()
    };
    let result = [free(lhs, lhs_sum, 0), free(rhs, rhs_sum, batch)].concat();
    let (axes, result) = (axes.join(", "), result.join(", "));
    format!(
        "graph(%0: {ty}[{lhs}], %1: {ty}[{rhs}]) {{
          %2 = contract %0, %1 {{lhs_batch=[{axes}], rhs_batch=[{axes}], lhs_sum=[{lhs_sum}], rhs_sum=[{rhs_sum}], acc={acc}}} : {acc}[{result}]
          %3 = tanh %2 : {acc}[{result}]
          return %3
        }}"
    )
}

/// A product of parts of matrices: lines that begin at multiples of 16 bytes and end anywhere.
const PARTS: &str = "
graph(%0: f16[70, 72], %1: f16[66, 48]) {
  %2 = slice %0 {start=[0, 0], len=[70, 41], step=[1, 1]} : f16[70, 41]
  %3 = slice %1 {start=[0, 0], len=[66, 41], step=[1, 1]} : f16[66, 41]
  %4 = contract %2, %3 {lhs_batch=[], rhs_batch=[], lhs_sum=[1], rhs_sum=[1], acc=f32} : f32[70, 66]
  return %4
}";

/// A convolution over padded images in two groups.
const CONVOLUTION: &str = "
graph(%0: f32[2, 6, 9, 10], %1: f32[2, 5, 3, 3, 2]) {
  %2 = const {value=f32(0.0)} : f32[]
  %3 = pad %0, %2 {low=[0, 0, 1, 0], high=[0, 0, 1, 1], interior=[0, 0, 0, 0]} : f32[2, 6, 11, 11]
  %4 = window %3 {axis=2, size=3, stride=2, dilation=1} : f32[2, 6, 5, 11, 3]
  %5 = window %4 {axis=3, size=2, stride=1, dilation=2} : f32[2, 6, 5, 9, 3, 2]
  %6 = reshape %5 {dims=[2, 2, 3, 5, 9, 3, 2]} : f32[2, 2, 3, 5, 9, 3, 2]
  %7 = contract %6, %1 {lhs_batch=[1], rhs_batch=[0], lhs_sum=[2, 5, 6], rhs_sum=[2, 3, 4], acc=f32} : f32[2, 2, 5, 9, 5]
  %8 = permute %7 {perm=[1, 0, 4, 2, 3]} : f32[2, 2, 5, 5, 9]
  %9 = tanh %8 : f32[2, 2, 5, 5, 9]
  return %9
}";

/// A sum along an axis.
fn sum(ty: &str, dims: &str, axis: usize, left: &str) -> String {
    format!(
        "graph(%0: {ty}[{dims}]) {{
          %1 = mul %0, %0 : {ty}[{dims}]
          %2 = reduce %1 {{kind=sum, axes=[{axis}]}} : {ty}[{left}]
          return %2
        }}"
    )
}

/// Running sums and maxima along an axis, from its end.
fn scan(ty: &str, dims: &str, axis: usize) -> String {
    format!(
        "graph(%0: {ty}[{dims}]) {{
          %1 = scan %0 {{kind=sum, axis={axis}, reverse=true}} : {ty}[{dims}]
          %2 = scan %0 {{kind=max, axis={axis}, reverse=true}} : {ty}[{dims}]
          return %1, %2
        }}"
    )
}

/// A chain of elements, `f` in its middle.
fn pointwise(ty: &str, dims: &str, f: &str) -> String {
    format!(
        "graph(%0: {ty}[{dims}], %1: {ty}[{dims}]) {{
          %2 = mul %0, %1 : {ty}[{dims}]
          %3 = {f} %2 : {ty}[{dims}]
          %4 = max %3, %0 : {ty}[{dims}]
          return %4, %2
        }}"
    )
}

/// Numbers of moderate size, always the same ones.
fn input(dtype: DType, dims: Vec<usize>, seed: u64) -> Array {
    let count: usize = dims.iter().product();
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(count * dtype.size());
    for _ in 0..count {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let value = (state >> 40) as f64 / f64::from(1 << 24) * 4.0 - 2.0;
        let value = match dtype.is_float() {
            true => Scalar::from_f64(dtype, value),
            false => Scalar::from_i64(dtype, (value * 20.0) as i64),
        };
        bytes.extend_from_slice(&value.bits().to_le_bytes()[..dtype.size()]);
    }
    Array { dtype, dims, bytes }
}

/// A graph with inputs for these sizes.
fn case(text: &str, sizes: &[(&str, i64)]) -> Case {
    let graph: Graph = parse_graph(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let size = |s: &Symbol| sizes.iter().find(|(n, _)| *n == &*s.0).map(|(_, v)| *v);
    let inputs = graph.inputs().iter().zip(1..).map(|(node, seed)| {
        let ty = graph.tensor_type(*node);
        let dims = ty.dims.iter().map(|d| d.eval(&size).unwrap() as usize);
        input(ty.dtype, dims.collect(), seed)
    });
    let near = |dtype: DType| {
        let bound = match dtype {
            DType::F16 => 1e-2,
            DType::BF16 => 8e-2,
            _ => 2e-5,
        };
        Tolerance {
            relative: bound,
            absolute: bound,
            ulps: 8,
        }
    };
    Case {
        inputs: inputs.collect(),
        tolerances: graph.output_types().iter().map(|t| near(t.dtype)).collect(),
        graph,
    }
}

/// A graph with inputs for these sizes, and its plan.
pub fn subject(text: &str, sizes: &[(&str, i64)]) -> Subject {
    let case = case(text, sizes);
    let plan = plan(&case.graph, true).unwrap();
    Subject { case, plan }
}

/// A graph, and the sizes of its inputs.
type Shape = (String, Vec<(&'static str, i64)>);

/// Products of half floats: in large tiles and small ones, with steps or rows and columns side by side, in pieces
/// of 16 bytes or not, and with more panels than are under way at a time.
fn half_products() -> Vec<Shape> {
    let n = |n| vec![("n", n)];
    vec![
        (linear("f16", ["40", "70", "32"]), n(0)),
        (linear("f16", ["n", "136", "72"]), n(150)),
        (linear("bf16", ["70", "n", "200"]), n(90)),
        (linear("bf16", ["66", "65", "35"]), n(0)),
        (
            product("f16", "f32", 1, [("3, 200, 72", 1), ("3, 200, 136", 1)]),
            n(0),
        ),
        (
            product("bf16", "f32", 1, [("2, n, 65", 1), ("2, n, 67", 1)]),
            n(40),
        ),
        (
            product("f16", "f16", 0, [("n, 104", 1), ("3, 104, 24", 1)]),
            n(130),
        ),
        (
            product("f16", "f16", 1, [("2, 80, 48", 2), ("2, 5, 7, 48", 3)]),
            n(0),
        ),
        (PARTS.to_owned(), n(0)),
        (CONVOLUTION.replace("f32", "f16"), n(0)),
    ]
}

/// Those of [`half_products`], with the prefix of their kernels.
pub fn half_subjects() -> Vec<(Subject, CudaProgram)> {
    programs(half_products())
}

/// All of them, with the prefix of their kernels.
pub fn subjects() -> Vec<(Subject, CudaProgram)> {
    let n = |n| vec![("n", n)];
    let mut all = vec![
        (softmax("n, 256"), n(5)),
        (softmax("7, 2001"), n(0)),
        (softmax("3, n"), n(701)),
        (softmax("2, 20000"), n(0)),
        (softmax("9, 3"), n(0)),
        (linear("f32", ["n", "100", "70"]), n(130)),
        (linear("f32", ["130", "n", "33"]), n(67)),
        (linear("f64", ["70", "20", "17"]), n(0)),
        (linear("i32", ["66", "65", "5"]), n(0)),
        (BATCHED.to_owned(), n(0)),
        (CONVOLUTION.to_owned(), n(0)),
        (sum("f32", "n, 64", 0, "64"), n(100)),
        (sum("f32", "3000, 70", 0, "70"), n(0)),
        (sum("f64", "5, n", 1, "5"), n(3000)),
        (sum("f32", "100003", 0, ""), n(0)),
        (sum("i8", "3, 5000", 1, "3"), n(0)),
        (sum("bf16", "4, 300", 1, "4"), n(0)),
        (scan("i32", "n, 8", 0), n(50)),
        (scan("f32", "6, n", 1), n(50)),
        (scan("f32", "2, 1003", 1), n(0)),
        (scan("i64", "3, n", 1), n(2000)),
        (scan("i8", "40", 0), n(0)),
        (scan("i32", "3000, 3", 0), n(0)),
        (pointwise("f32", "n", "exp"), n(1003)),
        (pointwise("f32", "32, 64", "sin"), n(0)),
        (pointwise("f16", "n, 33", "tanh"), n(3)),
        (pointwise("bf16", "1027", "neg"), n(0)),
        (pointwise("f64", "101", "erf"), n(0)),
        (pointwise("u8", "n", "neg"), n(2049)),
        (pointwise("i64", "77", "abs"), n(0)),
    ];
    all.extend(half_products());
    programs(all)
}

fn programs(all: Vec<Shape>) -> Vec<(Subject, CudaProgram)> {
    let mut subjects = Vec::new();
    for (number, (text, sizes)) in all.iter().enumerate() {
        let subject = subject(text, sizes);
        let program = cuda::program(&subject.plan, &format!("s{number}_")).unwrap();
        subjects.push((subject, program));
    }
    subjects
}
