//! Programs for a GPU, emulated, against the interpreters. What passes here is emulated, not tested on a GPU.

use crate::corpus::{self, Subject};
use crate::emulator::{Emulator, Turns};
use crate::shapes;
use lazulite_codegen::cuda::CudaProgram;
use lazulite_ir::{Array, Environment, EvalError, EvalMode, Symbol, eval_plan, print_plan};
use lazulite_runtime::{Buffer, Input, Pool, Program, RunError};

fn unchanged(text: String) -> String {
    text
}

fn execute(subject: &Subject, program: &Program) -> Result<Vec<Array>, RunError> {
    let inputs = subject.case.inputs.iter();
    let inputs = inputs.map(|a| Input::keep(Buffer::from_bytes(&a.bytes).unwrap()));
    let sizes = subject.case.sizes();
    let size = |s: &Symbol| sizes.get(s).copied();
    let symbols = subject.plan.symbols.iter();
    let bound: Vec<i64> = symbols.map(|s| size(s).unwrap()).collect();
    let pool = Pool::new(1).unwrap();
    let outputs = program.run(&mut inputs.collect::<Vec<_>>(), &bound, &pool)?;
    let types = subject.case.graph.output_types();
    let array = |(ty, buffer): (&lazulite_ir::TensorType, &Buffer)| Array {
        dtype: ty.dtype,
        dims: ty
            .dims
            .iter()
            .map(|d| d.eval(&size).unwrap() as usize)
            .collect(),
        bytes: buffer.as_bytes().to_vec(),
    };
    Ok(types.iter().zip(&outputs.buffers).map(array).collect())
}

/// Whether running the plan is a fault.
fn faults(subject: &Subject) -> bool {
    let sizes = subject.case.sizes();
    let environment = Environment {
        sizes: &|s| sizes.get(s).copied(),
        foreign: &|_| None,
    };
    let inputs = &subject.case.inputs;
    match eval_plan(&subject.plan, inputs, environment, EvalMode::default()) {
        Ok(_) => false,
        Err(EvalError::Fault { .. }) => true,
        Err(e) => panic!("{e}\n{:?}", subject.case),
    }
}

/// Runs all programs in every order of threads; says what differs first.
fn check(
    subjects: &[Subject],
    programs: &[CudaProgram],
    emulator: &Emulator,
) -> Result<(), String> {
    for (subject, program) in subjects.iter().zip(programs) {
        let expected_fault = faults(subject);
        let ready = emulator.program(program);
        let mut first = None;
        for turns in Turns::ALL {
            emulator.set_turns(turns);
            let found = execute(subject, &ready);
            let wrong = |what: String| {
                let text: String = program.kernels.iter().map(|k| k.text.as_str()).collect();
                let (case, plan) = (&subject.case, print_plan(&subject.plan));
                let case: String = format!("{case:?}").chars().take(4000).collect();
                format!("{what}, {turns:?}\n{case}\n{plan}\n{text}")
            };
            match (expected_fault, found) {
                (false, Ok(found)) => {
                    if subject.case.expected().is_ok() {
                        subject.case.check(&found).map_err(&wrong)?;
                    }
                    if *first.get_or_insert_with(|| found.clone()) != found {
                        return Err(wrong("the order of threads shows".into()));
                    }
                }
                (true, Err(RunError::Fault { .. } | RunError::Custom { .. })) => {}
                (fault, found) => return Err(wrong(format!("fault {fault}, found {found:?}"))),
            }
        }
    }
    Ok(())
}

#[test]
fn random_graphs_equal_the_interpreter_in_every_order_of_threads() {
    let (subjects, programs): (Vec<_>, Vec<_>) = corpus::subjects(40).into_iter().unzip();
    if let Some(emulator) = Emulator::new(&programs, &unchanged) {
        check(&subjects, &programs, &emulator).unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn every_shape_equals_the_interpreter_in_every_order_of_threads() {
    let (subjects, programs): (Vec<_>, Vec<_>) = shapes::subjects().into_iter().unzip();
    if let Some(emulator) = Emulator::new(&programs, &unchanged) {
        check(&subjects, &programs, &emulator).unwrap_or_else(|e| panic!("{e}"));
    }
}

/// The emulator shows what it is for: kernels without a barrier that they need are found out.
#[test]
fn a_missing_barrier_is_found_out() {
    let (subjects, programs): (Vec<_>, Vec<_>) = shapes::subjects().into_iter().unzip();
    let without = |from: &str, to: &str, text: String| {
        assert!(text.contains(from), "nothing to leave out");
        text.replace(from, to)
    };
    let changes: [&dyn Fn(String) -> String; 2] = [
        // Where a block's threads join their sums.
        &|text| without("lz_block_barrier();\n    lz_unword", "lz_unword", text),
        // Between the panels of a product.
        &|text| without("lz_block_barrier();\n      #pragma", "\n#pragma", text),
    ];
    for change in changes {
        let Some(emulator) = Emulator::new(&programs, change) else {
            return;
        };
        assert!(check(&subjects, &programs, &emulator).is_err());
    }
}
