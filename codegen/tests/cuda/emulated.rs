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
    let changes: [&dyn Fn(String) -> String; 4] = [
        // Where a block's threads join their sums.
        &|text| without("lz_block_barrier();\n    lz_unword", "lz_unword", text),
        // Between the parts of a scan and those who take them.
        &|text| without("lz_block_barrier();\n    T before", "T before", text),
        // Between one part of a scan and the next.
        &|text| {
            without(
                "lz_block_barrier();\n    if (LzWarp::rank() == 31u)",
                "if (LzWarp::rank() == 31u)",
                text,
            )
        },
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

/// Mistakes in products of half floats: what each is, and the text that it puts in place of which.
const HALF_MISTAKES: &[(&str, &str, &str)] = &[
    ("nothing", "", ""),
    (
        "a group is not waited for",
        "lz_copy_wait<STAGES - 2>",
        "lz_copy_wait<STAGES - 1>",
    ),
    ("copies are no group", "      lz_copy_commit();\n", ""),
    (
        "panels are read before they are there",
        "lz_block_barrier();\n      }\n      fetch(n",
        "}\n      fetch(n",
    ),
    (
        "sums take the place of panels that are read",
        "    }\n    lz_block_barrier();\n",
        "    }\n",
    ),
    (
        "sums are read before they are there",
        "lz_block_barrier();\n      for (u32 i",
        "for (u32 i",
    ),
    (
        "sums take the place of sums that are read",
        "lz_block_barrier();\n    }\n  }\n}",
        "}}}",
    ),
    (
        "halves of the left operand",
        "+ step + other)",
        "+ step + half)",
    ),
    (
        "rows of the left operand across",
        "(step + other + lane % 8u)",
        "(step + half + lane % 8u)",
    ),
    (
        "halves of the right operand",
        "+ step + half)",
        "+ step + other)",
    ),
    (
        "columns of the right operand across",
        "+ column + other)",
        "+ column + half)",
    ),
    (
        "words of the right operand",
        "b[j / 2][j % 2 * 2]",
        "b[j / 2][j % 2]",
    ),
    (
        "rows of the sums",
        "to[j * 8 + 8 * PITCH] = sum[i][j][2]",
        "to[j * 8 + 8 * PITCH] = sum[i][j][1]",
    ),
    ("the rest of the steps", "lz_min(steps - s, (S)8)", "8"),
];

/// What products on tensor cores rely on, left out or mixed up one by one, is found out.
#[test]
fn a_mistake_in_a_product_of_half_floats_is_found_out() {
    let (subjects, programs): (Vec<_>, Vec<_>) = shapes::half_subjects().into_iter().unzip();
    for program in &programs {
        let text = program.source();
        assert!(
            text.contains("typedef LzTensor<"),
            "no tensor cores:\n{text}"
        );
    }
    for (mistake, from, to) in HALF_MISTAKES {
        let change = |text: String| {
            assert!(text.contains(from), "{mistake}: there is none to be made");
            text.replace(from, to)
        };
        let Some(emulator) = Emulator::new(&programs, &change) else {
            return;
        };
        let found = check(&subjects, &programs, &emulator);
        assert_eq!(found.is_ok(), *mistake == "nothing", "{mistake}: {found:?}");
    }
}
