//! What goes wrong: inputs, sizes, faults, foreign functions; and donation, which must survive it.

mod common;

use Access::{Read, ReadWrite, Write};
use common::*;
use lazulite_runtime::*;
use std::sync::Arc;

fn fails(program: &Program, inputs: &mut [Input], sizes: &[i64]) -> RunError {
    program.run(inputs, sizes, &Pool::single()).unwrap_err()
}

/// y = 2 x + 1 over n elements; x may be donated to y.
fn updater() -> Builder {
    let mut b = Builder::new(&["n"]);
    let n = Size::symbol(0);
    let x = b.input(Element::F32, n.clone());
    let y = b.output(Element::F32, n.clone());
    let k = b.kernel(double_plus_one, &[Read, Write], &[n]);
    b.step(call(k, &[x, y]));
    b.image.donations = vec![(0, y)];
    b
}

#[test]
fn inputs_and_sizes_are_checked() {
    let mut b = updater();
    b.image.guards.push(SizeGuard {
        lhs: Size::symbol(0),
        rhs: constant(100),
        equal: false,
        message: "n is at most 100".into(),
    });
    let program = b.build();
    let (expected, found) = (1, 0);
    assert_eq!(
        fails(&program, &mut [], &[1]),
        RunError::InputCount { expected, found }
    );
    let mut x = [keep(&[1f32, 2.0])];
    assert_eq!(
        fails(&program, &mut x, &[]),
        RunError::SizeCount { expected, found }
    );
    let error = fails(&program, &mut x, &[3]);
    assert_eq!(
        error.to_string(),
        "input 0 of type F32 takes 12 bytes, got 8"
    );
    assert_eq!(
        fails(&program, &mut x, &[-2]).to_string(),
        "size n is negative: -2"
    );
    let error = fails(&program, &mut x, &[101]);
    assert_eq!(error.to_string(), "n is at most 100 (101 and 100)");
    assert!(program.run(&mut x, &[2], &Pool::single()).is_ok());
}

#[test]
fn sizes_that_overflow_or_do_not_fit_are_errors() {
    let program = updater().build();
    let error = fails(&program, &mut [keep::<f32>(&[])], &[i64::MAX / 2]);
    assert_eq!(
        error,
        RunError::Size {
            of: "bytes of buffer 0".into(),
            error: SizeError::Overflow
        }
    );
    // Fits an i64, but no machine.
    let mut b = Builder::new(&["n"]);
    let y = b.output(Element::U8, Size::symbol(0));
    let k = b.kernel(nothing, &[Write], &[]);
    b.step(call(k, &[y]));
    let bytes = 1usize << 55;
    let error = fails(&b.build(), &mut [], &[bytes as i64]);
    assert_eq!(error, RunError::Alloc(AllocError { bytes }));
}

#[test]
fn donated_memory_is_taken_over_when_unique() {
    let program = updater().build();
    let pool = Pool::single();
    let mut inputs = [donate(&[1f32, 2.0])];
    let address = inputs[0].buffer.as_bytes().as_ptr();
    let out = program.run(&mut inputs, &[2], &pool).unwrap();
    assert_eq!(out.buffers[0].to_vec::<f32>(), [3.0, 5.0]);
    assert_eq!(out.buffers[0].as_bytes().as_ptr(), address);
    assert!(inputs[0].buffer.is_empty());
    assert_eq!(
        (out.report.taken_donations, out.report.refused_donations),
        (1, 0)
    );
    assert_eq!(out.report.output_bytes, 0);
}

#[test]
fn other_handles_keep_the_old_value() {
    let program = updater().build();
    let pool = Pool::single();
    let mut inputs = [donate(&[1f32, 2.0])];
    let other = inputs[0].buffer.clone();
    let out = program.run(&mut inputs, &[2], &pool).unwrap();
    assert_eq!(out.buffers[0].to_vec::<f32>(), [3.0, 5.0]);
    assert_eq!(other.to_vec::<f32>(), [1.0, 2.0]);
    assert_eq!(
        (out.report.taken_donations, out.report.refused_donations),
        (0, 1)
    );
    // Not given up at all.
    let out = program.run(&mut [keep(&[1f32])], &[1], &pool).unwrap();
    assert_eq!(
        (out.report.taken_donations, out.report.refused_donations),
        (0, 0)
    );
}

/// Gathers ten elements by an index (which may fault) and updates a parameter, in either order.
fn step_with_check(check_first: bool) -> Program {
    let mut b = Builder::new(&[]);
    let x = b.input(Element::F32, constant(10));
    let index = b.input(Element::I64, constant(2));
    let y = b.output(Element::F32, constant(10));
    let picked = b.output(Element::F32, constant(2));
    b.fault("index out of range in gather along axis 0");
    let update = b.kernel(double_plus_one, &[Read, Write], &[constant(10)]);
    let gather = b.kernel(gather_of_ten, &[Read, Read, Write], &[constant(2)]);
    b.image.kernels[gather as usize].can_fault = true;
    let mut steps = vec![call(gather, &[x, index, picked]), call(update, &[x, y])];
    if !check_first {
        steps.reverse();
    }
    b.image.steps = steps;
    b.image.donations = vec![(0, y)];
    b.build()
}

#[test]
fn decision_11_5_errors_while_running_do_not_corrupt_state() {
    let x: Vec<f32> = (0..10).map(|i| i as f32).collect();
    for check_first in [true, false] {
        let program = step_with_check(check_first);
        let mut inputs = [donate(&x), keep(&[3i64, 12])];
        let error = fails(&program, &mut inputs, &[]);
        assert_eq!(
            error,
            RunError::Fault {
                what: "index out of range in gather along axis 0".into(),
                location: "main.rs:7:3".into(),
                value: 12,
                bound: 10,
            }
        );
        assert_eq!(
            error.to_string(),
            "main.rs:7:3: index out of range in gather along axis 0: 12 (bound 10)"
        );
        // The parameter is back with its old value, and a good run goes on from there.
        assert_eq!(inputs[0].buffer.to_vec::<f32>(), x);
        inputs[1] = keep(&[3i64, 9]);
        let out = program.run(&mut inputs, &[], &Pool::single()).unwrap();
        assert_eq!(out.buffers[1].to_vec::<f32>(), [3.0, 9.0]);
        let expected: Vec<f32> = x.iter().map(|v| 2.0 * v + 1.0).collect();
        assert_eq!(out.buffers[0].to_vec::<f32>(), expected);
        // In place only where the update comes after the last check.
        assert_eq!(out.report.taken_donations, u32::from(check_first));
        assert_eq!(out.report.refused_donations, u32::from(!check_first));
    }
}

#[test]
fn nothing_runs_behind_a_fault() {
    let mut b = Builder::new(&[]);
    let x = b.input(Element::F32, constant(10));
    let index = b.input(Element::I64, constant(1));
    let picked = b.output(Element::F32, constant(1));
    let fault = b.fault("index");
    let gather = b.kernel(gather_of_ten, &[Read, Read, Write], &[constant(1)]);
    b.image.kernels[gather as usize].can_fault = true;
    let host = b.host(Arc::new(|_, _, _| Err("must not be called".into())));
    b.step(call(gather, &[x, index, picked]));
    b.step(Step::Custom {
        target: host,
        inputs: vec![],
        outputs: vec![],
        fault,
    });
    let program = b.build();
    let error = fails(&program, &mut [keep(&[0f32; 10]), keep(&[-1i64])], &[]);
    assert!(matches!(error, RunError::Fault { value: -1, .. }));
    let error = fails(&program, &mut [keep(&[0f32; 10]), keep(&[1i64])], &[]);
    assert!(matches!(error, RunError::Custom { message, .. } if message == "must not be called"));
}

#[test]
fn a_fault_ends_an_endless_loop() {
    let mut b = Builder::new(&[]);
    let x = b.input(Element::F32, constant(10));
    let index = b.input(Element::I64, constant(1));
    let yes = b.input(Element::Bool, constant(1));
    let picked = b.output(Element::F32, constant(1));
    b.fault("index");
    let gather = b.kernel(gather_of_ten, &[Read, Read, Write], &[constant(1)]);
    b.image.kernels[gather as usize].can_fault = true;
    b.step(Step::While {
        test: vec![],
        condition: yes,
        carries: vec![],
        body: vec![call(gather, &[x, index, picked])],
    });
    let mut inputs = [keep(&[0f32; 10]), keep(&[99i64]), keep(&[true])];
    assert!(matches!(
        fails(&b.build(), &mut inputs, &[]),
        RunError::Fault { value: 99, .. }
    ));
}

/// One host function from x to y, then y is the result; x may be donated to z = 2 x + 1 before.
fn with_host(f: Arc<HostFn>) -> Builder {
    let mut b = Builder::new(&[]);
    let x = b.input(Element::F32, constant(2));
    let y = b.output(Element::F32, constant(2));
    let z = b.output(Element::F32, constant(2));
    let fault = b.fault("map_elements");
    let k = b.kernel(double_plus_one, &[Read, Write], &[constant(2)]);
    let target = b.host(f);
    b.step(call(k, &[x, z]));
    b.step(Step::Custom {
        target,
        inputs: vec![(x, signature(Element::F32, &[constant(2)]))],
        outputs: vec![(y, signature(Element::F32, &[constant(2)]))],
        fault,
    });
    b.image.donations = vec![(0, z)];
    b
}

#[test]
fn foreign_errors_and_panics_are_errors_and_lose_nothing() {
    let cases: [(Arc<HostFn>, &str); 2] = [
        (
            Arc::new(|_, _, _| Err("no such mode".into())),
            "no such mode",
        ),
        (
            Arc::new(|i, _, _| panic!("{} operands", i.len())),
            "panicked: 1 operands",
        ),
    ];
    for (f, expected) in cases {
        let program = with_host(f).build();
        let mut inputs = [donate(&[1f32, 2.0])];
        let error = fails(&program, &mut inputs, &[]);
        assert_eq!(
            error.to_string(),
            format!("main.rs:7:3: map_elements: {expected}")
        );
        assert_eq!(inputs[0].buffer.to_vec::<f32>(), [1.0, 2.0]);
        assert!(inputs[0].buffer.is_unique());
    }
}

fn refused(change: impl FnOnce(&mut Image)) -> String {
    let mut b = with_host(Arc::new(|_, _, _| Ok(())));
    change(&mut b.image);
    b.load().unwrap_err().to_string()
}

#[test]
fn inconsistent_images_are_refused() {
    assert_eq!(
        refused(|i| i.version = 7),
        "program of version 7, expected 3"
    );
    assert_eq!(
        refused(|i| i.kernels.clear()),
        "program of 0 kernels with code for 1"
    );
    assert_eq!(
        refused(|i| i.outputs[0].0 = 77),
        "there is no buffer number 77, only 3"
    );
    assert_eq!(
        refused(|i| i.steps[0] = call(0, &[1])),
        "step 0 calls k0 of 2 buffers with 1"
    );
    assert_eq!(
        refused(|i| i.steps[0] = call(0, &[1, 0])),
        "step 0 writes to buffer 0, memory of input 0"
    );
    assert_eq!(
        refused(|i| i.buffers[1].place = Place::Alias(1)),
        "buffer 1 lies in itself"
    );
    assert_eq!(
        refused(|i| i.buffers[1].place = Place::Arena),
        "buffer 1 is a result and does not own memory for one"
    );
    assert_eq!(
        refused(|i| i.buffers[1].bytes = Size(vec![SizeOp::Add])),
        "bytes of buffer 1: malformed size expression"
    );
    assert_eq!(
        refused(|i| i.faults.clear()),
        "there is no fault number 0, only 0"
    );
    assert_eq!(
        refused(|i| i.donations[0].1 = 0),
        "buffer 0 takes over an input and is not an output"
    );
    assert_eq!(
        refused(|i| i.donations[0].1 = 1),
        "buffer 1 takes over an input while a step still reads it"
    );
    let library = CustomTarget::Library("no.such".into());
    let error = refused(|i| match &mut i.steps[1] {
        Step::Custom { target, .. } => *target = library,
        _ => unreachable!(),
    });
    assert_eq!(error, "there is no library function \"no.such\"");
}

#[test]
fn products_must_not_overwrite_their_operands() {
    let build = |change: fn(&mut Image)| {
        let mut b = Builder::new(&[]);
        let x = b.input(Element::F32, constant(4));
        let panel = b.input(Element::F32, constant(2 * 64));
        let product = b.arena(Element::F32, constant(4));
        let y = b.output(Element::F32, constant(4));
        let dims = [1, 2, 2, 2].map(constant);
        let kernel = b.kernel(nothing, &[Read, Write], &dims[..3]);
        b.step(Step::Contract(Contract {
            element: Element::F32,
            factors: [Element::F32; 2],
            dims,
            lhs: x,
            lhs_strides: [0, 0, 2, 1].map(constant),
            rhs: panel,
            rhs_layout: RightLayout::Panels(constant(0)),
            product,
            epilogue: Some(KernelCall {
                kernel,
                args: vec![product, y],
            }),
        }));
        change(&mut b.image);
        b.load().map_err(|e| e.to_string()).err()
    };
    assert_eq!(build(|_| ()), None);
    let error = build(|i| i.donations = vec![(0, 3)]).unwrap();
    assert_eq!(
        error,
        "buffer 3 takes over an input while a step still reads it"
    );
    let error = build(|i| {
        i.buffers[0].place = Place::Arena;
        i.buffers[2].place = Place::Alias(0);
    });
    assert_eq!(
        error.unwrap(),
        "step 0 writes buffer 2 in the memory of operand 0"
    );
}

#[test]
fn steps_outside_of_lifetimes_and_loops_are_refused() {
    let mut b = updater();
    let scratch = b.arena(Element::F32, Size::symbol(0));
    b.image.buffers[scratch as usize].live = (1, 2);
    b.step(call(0, &[0, scratch]));
    let mut late = b.image.clone();
    assert!(
        Builder {
            image: b.image,
            ..updater()
        }
        .load()
        .is_ok()
    );
    late.buffers[scratch as usize].live = (0, 0);
    let error = Builder {
        image: late,
        ..updater()
    }
    .load()
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "step 1 uses buffer 2, which lives from 0 to 0"
    );

    let mut b = updater();
    let place = Place::LoopSlice {
        of: 0,
        stride: constant(4),
        loop_id: 3,
    };
    let slice = b.buffer(constant(4), place);
    let iteration = b.arena(Element::I64, constant(1));
    b.step(Step::Loop {
        loop_id: 3,
        trip: constant(2),
        iteration,
        carries: vec![],
        body: vec![],
    });
    b.step(call(0, &[slice, 1]));
    let error = b.load().unwrap_err();
    assert_eq!(error.to_string(), "step 2 uses slice 2 outside of its loop");
}

/// What running a step says, with input 0 and output 1 of 32 bytes, buffer 2 of 16, and an i64.
fn stepping(step: Step, place: Place) -> String {
    let mut b = Builder::new(&[]);
    b.input(Element::F32, constant(8));
    b.output(Element::F32, constant(8));
    b.buffer(constant(16), place);
    b.arena(Element::I64, constant(1));
    b.kernel(nothing, &[ReadWrite], &[]);
    b.step(step);
    let error = fails(&b.build(), &mut [keep(&[0f32; 8])], &[]).to_string();
    error.replace("inconsistent program: ", "")
}

#[test]
fn copies_that_reach_outside_of_buffers_are_refused_when_bound() {
    let copy = |bytes| Step::Copy {
        from: 0,
        to: 1,
        bytes: constant(bytes),
    };
    let error = stepping(copy(33), Place::Arena);
    assert_eq!(error, "step 0 takes 33 bytes of buffer 0 of 32");
    assert_eq!(stepping(copy(-1), Place::Arena), "step 0 is -1");
}

#[test]
fn products_that_reach_outside_of_buffers_are_refused_when_bound() {
    let product = |dims: [i64; 4], strides: [i64; 4]| {
        let step = Step::Contract(Contract {
            element: Element::F32,
            factors: [Element::F32; 2],
            dims: dims.map(constant),
            lhs: 0,
            lhs_strides: strides.map(constant),
            rhs: 0,
            rhs_layout: RightLayout::Panels(constant(0)),
            product: 1,
            epilogue: None,
        });
        stepping(step, Place::Arena)
    };
    let error = product([1, 2, 5, 1], [0; 4]);
    assert_eq!(error, "step 0 takes 40 bytes of buffer 1 of 32");
    let error = product([1, 2, 2, 3], [0, 0, -1, 0]);
    assert_eq!(error, "step 0 reads before the left operand");
    let error = product([1, 2, 2, 3], [0, 0, 4, 3]);
    assert_eq!(error, "step 0 takes 44 bytes of buffer 0 of 32");
    let error = product([1, 2, 2, 1], [0; 4]);
    assert_eq!(error, "step 0 takes 256 bytes of buffer 0 of 32");
    let error = product([i64::MAX, i64::MAX, i64::MAX, 0], [i64::MIN; 4]);
    assert!(error.contains("takes"), "{error}");
    let error = product([1, 1, 1, i64::MAX], [i64::MAX; 4]);
    assert!(error.contains("takes"), "{error}");
}

#[test]
fn right_operands_that_lie_outside_of_buffers_are_refused_when_bound() {
    let product = |[offset, batch, row, column]: [i64; 4], extent: i64| {
        let digit = |stride| [constant(extent), constant(stride)];
        let placement = Placement {
            offset: constant(offset),
            batch: constant(batch),
            rows: vec![digit(row)],
            columns: vec![digit(column)],
        };
        let step = Step::Contract(Contract {
            element: Element::F32,
            factors: [Element::F32; 2],
            dims: [1, 2, 2, 2].map(constant),
            lhs: 0,
            lhs_strides: [0; 4].map(constant),
            rhs: 0,
            rhs_layout: RightLayout::Placed(Box::new(placement)),
            product: 1,
            epilogue: None,
        });
        stepping(step, Place::Arena)
    };
    let error = product([0, 0, -1, 1], 2);
    assert_eq!(error, "step 0 reads before the right operand");
    let error = product([0, 0, 4, 5], 2);
    assert_eq!(error, "step 0 takes 40 bytes of buffer 0 of 32");
    let error = product([i64::MAX; 4], 2);
    assert!(error.contains("takes"), "{error}");
    let error = product([0; 4], 3);
    assert_eq!(error, "step 0 places a right operand of other extents");
}

#[test]
fn loops_that_reach_outside_of_buffers_are_refused_when_bound() {
    let slices = |stride| Place::LoopSlice {
        of: 1,
        stride: constant(stride),
        loop_id: 0,
    };
    let looped = |carries| Step::Loop {
        loop_id: 0,
        trip: constant(5),
        iteration: 3,
        carries,
        body: vec![call(0, &[2])],
    };
    let error = stepping(looped(vec![]), slices(8));
    assert_eq!(error, "5 slices 2 of 16 bytes, 8 apart, in buffer 1 of 32");
    let error = stepping(looped(vec![]), slices(i64::MAX));
    assert!(error.contains("apart"), "{error}");
    let error = stepping(looped(vec![(1, 2)]), Place::Arena);
    assert_eq!(error, "step 0 carries buffers 1 and 2 of different sizes");
}
