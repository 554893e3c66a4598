//! Threads: results do not depend on their number, and one program runs on many at once.

mod common;

use Access::{Read, Write};
use common::*;
use lazulite_runtime::*;
use rayon::prelude::*;

/// A slow pointwise kernel, a row kernel with scratch, a product and a sort over [n, 4] elements.
fn program() -> Program {
    let mut b = Builder::new(&["n"]);
    let len = times_n(4);
    let x = b.input(Element::F32, len.clone());
    let panel = b.input(Element::F32, constant(4 * 64));
    let [wobbled, reversed] = [(); 2].map(|_| b.arena(Element::F32, len.clone()));
    let product = b.output(Element::F32, times_n(40));
    let sorted = b.output(Element::F32, len.clone());
    let slow = b.kernel(wobble, &[Read, Write], std::slice::from_ref(&len));
    b.image.kernels[slow as usize].cost = constant(100 * 1024);
    let rows = b.kernel(reverse_rows, &[Read, Write], &[Size::symbol(0)]);
    b.image.kernels[rows as usize].scratch = constant(16);
    b.image.kernels[rows as usize].cost = constant(100 * 1024);
    b.step(call(slow, &[x, wobbled]));
    b.step(call(rows, &[wobbled, reversed]));
    b.step(Step::Contract(Contract {
        element: Element::F32,
        factors: [Element::F32; 2],
        dims: [constant(1), Size::symbol(0), constant(40), constant(4)],
        lhs: reversed,
        lhs_strides: [0, 0, 4, 1].map(constant),
        rhs: panel,
        rhs_layout: RightLayout::Panels(constant(0)),
        product,
        epilogue: None,
    }));
    b.step(Step::Sort {
        columns: vec![(reversed, sorted, Element::F32)],
        dims: [constant(1), Size::symbol(0), constant(4)],
        descending: true,
    });
    b.build()
}

fn inputs(n: usize) -> [Input; 2] {
    let x: Vec<f32> = (0..4 * n).map(|i| (i as f32 * 0.37).sin()).collect();
    let panel: Vec<f32> = (0..256).map(|i| (i as f32 * 0.11).cos()).collect();
    [keep(&x), keep(&panel)]
}

fn results(program: &Program, n: usize, pool: &Pool) -> Vec<Vec<u8>> {
    let out = program.run(&mut inputs(n), &[n as i64], pool).unwrap();
    out.buffers.iter().map(|b| b.as_bytes().to_vec()).collect()
}

#[test]
fn decision_11_7_results_are_the_same_bits_for_any_number_of_threads() {
    let program = program();
    let pools: Vec<Pool> = (1..=4).map(|t| Pool::new(t).unwrap()).collect();
    for n in [1, 7, 1000, 5003] {
        let alone = results(&program, n, &pools[0]);
        for pool in &pools[1..] {
            for _ in 0..5 {
                assert!(results(&program, n, pool) == alone, "{n} rows");
            }
        }
    }
}

#[test]
fn programs_buffers_and_pools_may_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Program>();
    shared::<Buffer>();
    shared::<Pool>();
}

#[test]
fn one_program_runs_on_many_threads_at_once() {
    let program = program();
    let pool = Pool::new(3).unwrap();
    let sizes = [0, 3, 500, 2000];
    let expected = sizes.map(|n| results(&program, n, &Pool::single()));
    // From threads of another rayon pool, and nested in it.
    (0..40usize).into_par_iter().for_each(|i| {
        let at = i % sizes.len();
        assert!(results(&program, sizes[at], &pool) == expected[at]);
    });
}

#[test]
fn a_foreign_function_may_run_programs() {
    let inner = std::sync::Arc::new(program());
    let pool = std::sync::Arc::new(Pool::new(2).unwrap());
    let expected = results(&inner, 800, &pool);
    let mut b = Builder::new(&[]);
    let fault = b.fault("nested");
    let (p, q, e) = (inner, pool.clone(), expected);
    let target = b.host(std::sync::Arc::new(move |_, _, _| {
        assert!(results(&p, 800, &q) == e);
        Ok(())
    }));
    b.step(Step::Custom {
        target,
        inputs: vec![],
        outputs: vec![],
        fault,
    });
    b.build().run(&mut [], &[], &pool).unwrap();
}
