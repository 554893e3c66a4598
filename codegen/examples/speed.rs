//! How fast generated code runs, at every level that this processor has, in turns:
//! `cargo run --release -p lazulite-codegen --example speed [NAME [VECTORS]]`. With a name the kernels of that program are
//! shown as well, at the level `LAZULITE_LEVEL`; a number of vectors takes the place of the one that is chosen for an
//! iteration.

use lazulite_codegen::lower::LowerOptions;
use lazulite_codegen::{CodegenOptions, Level, compile, inspect};
use lazulite_ir::{Plan, parse_graph};
use lazulite_passes::{Options, compile_to_plan};
use lazulite_runtime::{Buffer, Input, Pool, Program};
use std::error::Error;
use std::time::Instant;

/// Rounds in which the levels take turns.
const ROUNDS: usize = 60;

/// Seconds that one measurement takes at least: less than the time for which other processes wait.
const LEAST: f64 = 0.002;

/// A graph in text form under construction, on one input of f32.
struct Text {
    dims: Vec<usize>,
    lines: String,
    next: usize,
}

impl Text {
    fn new(dims: &[usize]) -> Text {
        Text {
            dims: dims.to_vec(),
            lines: String::new(),
            next: 1,
        }
    }

    /// An operation with a result of these dimensions; its name.
    fn of(&mut self, op: &str, dims: &[usize]) -> String {
        let name = format!("%{}", self.next);
        self.next += 1;
        self.lines += &format!("  {name} = {op} : f32{dims:?}\n");
        name
    }

    fn op(&mut self, op: &str) -> String {
        let dims = self.dims.clone();
        self.of(op, &dims)
    }

    /// A number everywhere.
    fn number(&mut self, x: f32) -> String {
        let c = self.of(&format!("const {{value=f32({x:?})}}"), &[]);
        let ones = vec![1; self.dims.len()];
        let c = self.of(&format!("reshape {c} {{dims={ones:?}}}"), &ones);
        self.op(&format!("expand {c} {{dims={:?}}}", self.dims))
    }

    /// One of `mul`, `add`, `max` with a number.
    fn with(&mut self, op: &str, x: &str, number: f32) -> String {
        let number = self.number(number);
        self.op(&format!("{op} {x}, {number}"))
    }

    /// The rows' sums or maxima, in all columns.
    fn rows(&mut self, kind: &str, x: &str) -> String {
        let rows = self.dims[0];
        let r = self.of(&format!("reduce {x} {{kind={kind}, axes=[1]}}"), &[rows]);
        let r = self.of(&format!("reshape {r} {{dims={:?}}}", [rows, 1]), &[rows, 1]);
        self.op(&format!("expand {r} {{dims={:?}}}", self.dims))
    }

    fn finish(self, result: &str) -> String {
        let Text { dims, lines, .. } = self;
        format!("graph(%0: f32{dims:?}) {{\n{lines}  return {result}\n}}\n")
    }
}

/// tanh-GELU of 1.5x + 0.25, by the sigmoid.
fn gelu(n: usize) -> String {
    let mut t = Text::new(&[n]);
    let x = t.with("mul", "%0", 1.5);
    let x = t.with("add", &x, 0.25);
    let square = t.op(&format!("mul {x}, {x}"));
    let cube = t.op(&format!("mul {square}, {x}"));
    let cube = t.with("mul", &cube, 0.044715);
    let inner = t.op(&format!("add {x}, {cube}"));
    let negative = t.with("mul", &inner, -2.0 * 0.797_884_6);
    let e = t.op(&format!("exp {negative}"));
    let divisor = t.with("add", &e, 1.0);
    let one = t.number(1.0);
    let sigmoid = t.op(&format!("div {one}, {divisor}"));
    let result = t.op(&format!("mul {x}, {sigmoid}"));
    t.finish(&result)
}

/// Five times: x * 1.01 + 0.5, what is below 0 is 0, -0.25.
fn chain(n: usize) -> String {
    let mut t = Text::new(&[n]);
    let mut x = String::from("%0");
    for _ in 0..5 {
        x = t.with("mul", &x, 1.01);
        x = t.with("add", &x, 0.5);
        x = t.with("max", &x, 0.0);
        x = t.with("add", &x, -0.25);
    }
    t.finish(&x)
}

fn softmax(rows: usize, columns: usize) -> String {
    let mut t = Text::new(&[rows, columns]);
    let most = t.rows("max", "%0");
    let less = t.op(&format!("neg {most}"));
    let x = t.op(&format!("add %0, {less}"));
    let e = t.op(&format!("exp {x}"));
    let sum = t.rows("sum", &e);
    let result = t.op(&format!("div {e}, {sum}"));
    t.finish(&result)
}

/// Layer normalisation and erf-GELU.
fn norm(rows: usize, columns: usize) -> String {
    let mut t = Text::new(&[rows, columns]);
    let sum = t.rows("sum", "%0");
    let mean = t.with("mul", &sum, -1.0 / columns as f32);
    let x = t.op(&format!("add %0, {mean}"));
    let square = t.op(&format!("mul {x}, {x}"));
    let sum = t.rows("sum", &square);
    let variance = t.with("mul", &sum, 1.0 / columns as f32);
    let variance = t.with("add", &variance, 1e-5);
    let deviation = t.op(&format!("sqrt {variance}"));
    let x = t.op(&format!("div {x}, {deviation}"));
    let inner = t.with("mul", &x, std::f32::consts::FRAC_1_SQRT_2);
    let erf = t.op(&format!("erf {inner}"));
    let factor = t.with("add", &erf, 1.0);
    let half = t.with("mul", &x, 0.5);
    let result = t.op(&format!("mul {half}, {factor}"));
    t.finish(&result)
}

/// Sums of squares over axes.
fn squares(rows: usize, columns: usize, axes: &[usize]) -> String {
    let mut t = Text::new(&[rows, columns]);
    let square = t.op("mul %0, %0");
    let dims = [rows, columns];
    let left: Vec<usize> = (0..2)
        .filter(|a| !axes.contains(a))
        .map(|a| dims[a])
        .collect();
    let result = t.of(
        &format!("reduce {square} {{kind=sum, axes={axes:?}}}"),
        &left,
    );
    t.finish(&result)
}

/// Seconds per run.
fn seconds(program: &Program, input: &Buffer, pool: &Pool) -> Result<f64, Box<dyn Error>> {
    let mut runs = 1;
    loop {
        let start = Instant::now();
        for _ in 0..runs {
            program.run(&mut [Input::keep(input.clone())], &[], pool)?;
        }
        let taken = start.elapsed().as_secs_f64();
        if taken > LEAST {
            return Ok(taken / f64::from(runs));
        }
        runs *= 2;
    }
}

fn measure(name: &str, text: &str, show: bool) -> Result<(), Box<dyn Error>> {
    let graph = parse_graph(text)?;
    let plan: Plan = compile_to_plan(&graph, &Options::default())?;
    let levels: Vec<Level> = [Level::Baseline, Level::Avx2, Level::Avx512]
        .into_iter()
        .filter(|l| l.is_available())
        .collect();
    let copies = std::env::args().nth(2).and_then(|n| n.parse().ok());
    let options = |level| CodegenOptions {
        level,
        lower: LowerOptions {
            copies,
            ..LowerOptions::default()
        },
    };
    if show {
        println!("{}", lazulite_ir::print_plan(&plan));
        for kernel in &plan.kernels {
            let level = std::env::var("LAZULITE_LEVEL").ok();
            let level = level.and_then(|name| Level::from_name(&name));
            let text = inspect(kernel, &options(level.unwrap_or_default()))?;
            println!("{}\n{}", text.vector, text.native);
        }
    }
    let shape = text.split(['[', ']']).nth(1).unwrap_or_default();
    let elements: usize =
        { shape.split(',').map(|n| n.trim().parse::<usize>()) }.product::<Result<usize, _>>()?;
    let x: Vec<f32> = (0..elements)
        .map(|i| (i % 1013) as f32 / 128.0 - 4.0)
        .collect();
    let (input, pool) = (Buffer::from_slice(&x)?, Pool::single());
    let programs: Vec<Program> = { levels.iter() }
        .map(|&level| compile(&plan, &options(level), 1))
        .collect::<Result<_, _>>()?;
    let mut best = vec![f64::MAX; levels.len()];
    for _ in 0..ROUNDS {
        for (best, program) in best.iter_mut().zip(&programs) {
            *best = best.min(seconds(program, &input, &pool)?);
        }
    }
    print!("{name:16}");
    for (level, best) in levels.iter().zip(&best) {
        let each = best / elements as f64 * 1e9;
        print!("  {} {each:7.4} ns", level.name());
    }
    println!("  ({} kernels)", plan.kernels.len());
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let programs = [
        ("gelu_16k", gelu(1 << 14)),
        ("gelu_1m", gelu(1 << 20)),
        ("gelu_16m", gelu(1 << 24)),
        ("chain20_16k", chain(1 << 14)),
        ("chain20_4m", chain(1 << 22)),
        ("softmax", softmax(4096, 1024)),
        ("layernorm_gelu", norm(4096, 1024)),
        ("sumsq_rows", squares(4096, 4096, &[1])),
        ("sumsq_cols", squares(4096, 4096, &[0])),
        ("sumsq_all", squares(4096, 4096, &[0, 1])),
    ];
    let wanted = std::env::args().nth(1);
    for (name, text) in &programs {
        match &wanted {
            None => measure(name, text, false)?,
            Some(wanted) if wanted == name => measure(name, text, true)?,
            Some(_) => {}
        }
    }
    Ok(())
}
