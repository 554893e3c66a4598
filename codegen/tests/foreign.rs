//! Library functions in programs written as text: every level calls the same one, and wrong types
//! are refused before anything runs.

use lazulite_codegen::{CodegenOptions, check_foreign, compile, foreign_function};
use lazulite_ir::{
    Array, DType, Environment, EvalMode, Graph, Symbol, TensorType, eval_plan, interpret_in,
    parse_graph,
};
use lazulite_passes::{Options, compile_to_plan};
use lazulite_runtime::{Buffer, Input, Pool, Program, library_names};

/// The transform of `2 x` and back, for a batch of any size, of any length.
const THERE_AND_BACK: &str = "\
graph(%0: c64[b, n]) {
  %1 = add %0, %0 : c64[b, n]
  %2 = custom %1 {target=library(\"fft.forward.c64\"), results=[c64[b, n]]} : (c64[b, n])
  %3 = get %2 {index=0} : c64[b, n]
  %4 = custom %3 {target=library(\"fft.backward.c64\"), results=[c64[b, n]]} : (c64[b, n])
  %5 = get %4 {index=0} : c64[b, n]
  return %3, %5
}";

fn program(graph: &Graph) -> Result<(Vec<Symbol>, Program), String> {
    let plan = compile_to_plan(graph, &Options::default()).map_err(|e| e.to_string())?;
    let program = compile(&plan, &CodegenOptions::default(), 1).map_err(|e| e.to_string())?;
    Ok((plan.symbols, program))
}

fn size(sizes: [i64; 2]) -> impl Fn(&Symbol) -> Option<i64> {
    move |s: &Symbol| match &*s.0 {
        "b" => Some(sizes[0]),
        "n" => Some(sizes[1]),
        _ => None,
    }
}

#[test]
fn every_level_calls_the_same_function_on_complex_numbers() {
    let graph = parse_graph(THERE_AND_BACK).unwrap();
    let plan = compile_to_plan(&graph, &Options::default()).unwrap();
    let (symbols, program) = program(&graph).unwrap();
    for (b, n) in [(1, 1), (3, 5), (2, 16), (0, 4), (3, 0)] {
        let numbers: Vec<f32> = (0..2 * b * n).map(|i| (i % 7) as f32 - 2.0).collect();
        let real = Array::from_f32(&[b, n, 2], &numbers).unwrap();
        let x = Array {
            dtype: DType::C64,
            dims: vec![b, n],
            bytes: real.bytes,
        };
        let sizes = size([b as i64, n as i64]);
        let environment = Environment {
            sizes: &sizes,
            foreign: &foreign_function,
        };
        let inputs = [x];
        let meant = interpret_in(&graph, &inputs, environment).unwrap();
        let planned = eval_plan(&plan, &inputs, environment, EvalMode::default()).unwrap();
        let bound: Vec<i64> = symbols.iter().map(|s| sizes(s).unwrap()).collect();
        for threads in [1, 2] {
            let mut given = [Input::keep(Buffer::from_bytes(&inputs[0].bytes).unwrap())];
            let pool = Pool::new(threads).unwrap();
            let found = program.run(&mut given, &bound, &pool).unwrap().buffers;
            for ((meant, planned), found) in meant.iter().zip(&planned).zip(&found) {
                assert_eq!(meant.bytes, planned.bytes);
                assert_eq!(meant.bytes, found.as_bytes());
            }
        }
        let expected: Vec<f64> = numbers
            .iter()
            .map(|v| f64::from(v * 2.0 * n as f32))
            .collect();
        let back = Array {
            dtype: DType::F32,
            dims: vec![2 * b * n],
            bytes: meant[1].bytes.clone(),
        };
        for (found, expected) in back.to_f64_vec().iter().zip(&expected) {
            assert!((found - expected).abs() <= 1e-4 * (1.0 + expected.abs()));
        }
    }
}

#[test]
fn wrong_types_in_text_are_refused() {
    let refused = |from: &str, to: &str| {
        let text = format!(
            "graph(%0: {from}) {{
              %1 = custom %0 {{target=library(\"fft.r2c.f32\"), results=[{to}]}} : ({to})
              %2 = get %1 {{index=0}} : {to}
              return %2
            }}"
        );
        let graph = parse_graph(&text).unwrap();
        let meant = interpret_in(
            &graph,
            &[Array::zeros(DType::F32, &[2, 6]).unwrap()],
            Environment {
                sizes: &size([2, 6]),
                foreign: &foreign_function,
            },
        );
        let compiled = program(&graph).and_then(|(symbols, program)| {
            let bound: Vec<i64> = symbols.iter().map(|s| size([2, 6])(s).unwrap()).collect();
            let mut inputs = [Input::keep(Buffer::from_slice(&[0f32; 12]).unwrap())];
            let run = program.run(&mut inputs, &bound, &Pool::single());
            run.map(|_| ()).map_err(|e| e.to_string())
        });
        assert_eq!(meant.is_err(), compiled.is_err(), "{from} -> {to}");
        compiled.err()
    };
    assert_eq!(refused("f32[2, 6]", "c64[2, 4]"), None);
    assert_eq!(refused("f32[b, n]", "c64[b, floordiv(n, 2) + 1]"), None);
    let message = refused("f32[2, 6]", "c64[2, 5]").unwrap();
    assert!(
        message
            .contains("fft.r2c.f32: result 0 is f32[2, 5, 2], which does not fit c64[.., n/2+1]"),
        "{message}"
    );
    assert!(refused("f32[2, 6]", "c64[3, 4]").is_some());
    assert!(refused("f32[2, 6]", "c128[2, 4]").is_some());
    // Here the sizes are only known when the program runs.
    let message = refused("f32[b, n]", "c64[b, n]").unwrap();
    assert!(message.contains("does not fit c64[.., n/2+1]"), "{message}");
}

#[test]
fn functions_have_different_names_and_unknown_ones_are_refused() {
    let mut names: Vec<&str> = library_names().collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(foreign_function("fft.forward.f32").is_none());
    let x = TensorType::new(DType::F32, []);
    let error = check_foreign("no.such", &[&x], &[&x]).unwrap_err();
    assert_eq!(error, "there is no library function no.such");
}
