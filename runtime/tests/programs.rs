//! Whole programs: kernels, control flow, loops with carries and slices, results.

mod common;

use Access::{Read, Write};
use common::*;
use lazulite_runtime::*;
use std::sync::Arc;

fn run(program: &Program, inputs: &mut [Input], sizes: &[i64]) -> Outputs {
    program.run(inputs, sizes, &Pool::single()).unwrap()
}

/// z = x + y over n elements.
fn adder() -> Builder {
    let mut b = Builder::new(&["n"]);
    let n = Size::symbol(0);
    let x = b.input(Element::F32, n.clone());
    let y = b.input(Element::F32, n.clone());
    let z = b.output(Element::F32, n.clone());
    let k = b.kernel(add_f32, &[Read, Read, Write], &[n]);
    b.step(call(k, &[x, y, z]));
    b
}

#[test]
fn a_kernel_for_any_size() {
    let program = adder().build();
    for n in [3, 0, 1, 1000, 3, 77] {
        let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
        let out = run(&program, &mut [keep(&x), keep(&x)], &[n]);
        let expected: Vec<f32> = x.iter().map(|v| 2.0 * v).collect();
        assert_eq!(out.buffers[0].to_vec::<f32>(), expected);
        assert_eq!(out.report.output_bytes, 4 * n as usize);
        assert_eq!(program.peak_bytes(&[n]), Ok(4 * n as usize));
    }
}

#[test]
fn bindings_are_forgotten_and_made_again() {
    let program = adder().build();
    for round in 0..3 {
        for n in 0..40 {
            let out = run(
                &program,
                &mut [keep(&vec![1f32; n]), keep(&vec![2f32; n])],
                &[n as i64],
            );
            assert_eq!(
                out.buffers[0].to_vec::<f32>(),
                vec![3f32; n],
                "round {round}"
            );
        }
    }
}

#[test]
fn scalars_need_no_ranges() {
    let mut b = Builder::new(&["n"]);
    let x = b.input(Element::F32, Size::symbol(0));
    let s = b.output(Element::F32, constant(1));
    let k = b.kernel(sum_f32, &[Read, Write], &[]);
    b.image.kernels[k as usize].sizes = vec![Size::symbol(0)];
    b.step(call(k, &[x, s]));
    let program = b.build();
    let out = run(&program, &mut [keep(&[1f32, 2.0, 4.0])], &[3]);
    assert_eq!(out.buffers[0].to_vec::<f32>(), [7.0]);
    assert_eq!(
        run(&program, &mut [keep::<f32>(&[])], &[0]).buffers[0].to_vec::<f32>(),
        [0.0]
    );
}

#[test]
fn results_may_share_memory_be_inputs_or_shorter_aliases() {
    let mut b = adder();
    let alias = b.buffer(constant(4), Place::Alias(2));
    b.result(2, Element::F32, Size::symbol(0));
    b.result(alias, Element::F32, constant(1));
    b.result(1, Element::F32, Size::symbol(0));
    let program = b.build();
    let mut inputs = [keep(&[1f32, 2.0]), keep(&[3f32, 4.0])];
    let out = run(&program, &mut inputs, &[2]);
    let values: Vec<Vec<f32>> = out.buffers.iter().map(|b| b.to_vec()).collect();
    assert_eq!(
        values,
        [vec![4.0, 6.0], vec![4.0, 6.0], vec![4.0], vec![3.0, 4.0]]
    );
    assert!(out.buffers[0].same_memory(&out.buffers[1]));
    assert!(out.buffers[3].same_memory(&inputs[1].buffer));
}

/// cur = x, then `trip` times next = 2 cur + 1; `places` of cur and next, the result is cur.
fn carrying(trip: Size, places: [Place; 2]) -> Program {
    let mut b = Builder::new(&["t"]);
    let x = b.input(Element::F32, constant(3));
    let [cur, next] = places.map(|place| b.buffer(constant(12), place));
    let iteration = b.arena(Element::I64, constant(1));
    let k = b.kernel(double_plus_one, &[Read, Write], &[constant(3)]);
    let bytes = constant(12);
    let copy = |from, to, bytes| Step::Copy { from, to, bytes };
    b.step(copy(x, cur, bytes.clone()));
    b.step(Step::Loop {
        loop_id: 4,
        trip,
        iteration,
        carries: vec![(cur, next)],
        body: vec![call(k, &[cur, next])],
    });
    if b.image.buffers[cur as usize].place == Place::Output {
        b.result(cur, Element::F32, constant(3));
    } else {
        let out = b.output(Element::F32, constant(3));
        b.step(copy(cur, out, bytes));
    }
    b.build()
}

#[test]
fn carries_end_in_the_current_buffer() {
    use Place::{Arena, Output};
    for places in [
        [Arena, Arena],
        [Output, Arena],
        [Arena, Output],
        [Output, Output],
    ] {
        let program = carrying(Size::symbol(0), places.clone());
        for trip in 0..6 {
            let out = run(&program, &mut [keep(&[0f32, 1.0, -1.0])], &[trip]);
            let power = 2f32.powi(trip as i32);
            let expected = [0.0, 1.0, -1.0].map(|x| x * power + power - 1.0);
            assert_eq!(
                out.buffers[0].to_vec::<f32>(),
                expected,
                "{places:?} {trip}"
            );
            assert_eq!(out.report.kernels_run, trip as u64);
        }
    }
}

#[test]
fn loops_read_and_write_slices() {
    // For each row i: carry += row, stacked[i] = carry.
    let mut b = Builder::new(&["rows"]);
    let x = b.input(Element::F32, times_n(4));
    let stacked = b.output(Element::F32, times_n(4));
    let slice = |of| Place::LoopSlice {
        of,
        stride: constant(16),
        loop_id: 0,
    };
    let row = b.buffer(constant(16), slice(x));
    let stack = b.buffer(constant(16), slice(stacked));
    let [cur, next] = [(); 2].map(|_| b.arena(Element::F32, constant(4)));
    let iteration = b.arena(Element::I64, constant(1));
    let zero = b.input(Element::F32, constant(4));
    let add = b.kernel(add_f32, &[Read, Read, Write], &[constant(4)]);
    b.step(Step::Copy {
        from: zero,
        to: cur,
        bytes: constant(16),
    });
    b.step(Step::Loop {
        loop_id: 0,
        trip: Size::symbol(0),
        iteration,
        carries: vec![(cur, next)],
        body: vec![
            call(add, &[cur, row, next]),
            Step::Copy {
                from: next,
                to: stack,
                bytes: constant(16),
            },
        ],
    });
    let program = b.build();
    for rows in [0usize, 1, 2, 5] {
        let x: Vec<f32> = (0..4 * rows).map(|i| i as f32).collect();
        let mut inputs = [keep(&x), keep(&[0f32; 4])];
        let out = run(&program, &mut inputs, &[rows as i64]);
        let mut expected = x;
        for i in 4..4 * rows {
            expected[i] += expected[i - 4];
        }
        assert_eq!(out.buffers[0].to_vec::<f32>(), expected);
    }
}

#[test]
fn nested_loops_exchange_the_same_memory() {
    // Outer 3 times: (inner 3 times: next = cur + 1; swap), then other = cur + 1; swap.
    let mut b = Builder::new(&[]);
    let x = b.input(Element::I64, constant(1));
    let [a, c, d] = [(); 3].map(|_| b.arena(Element::I64, constant(1)));
    let [i, j] = [(); 2].map(|_| b.arena(Element::I64, constant(1)));
    let out = b.output(Element::I64, constant(1));
    let k = b.kernel(increment, &[Read, Write], &[constant(1)]);
    let copy = |from, to| Step::Copy {
        from,
        to,
        bytes: constant(8),
    };
    let inner = Step::Loop {
        loop_id: 9,
        trip: constant(3),
        iteration: j,
        carries: vec![(a, d)],
        body: vec![call(k, &[a, d])],
    };
    b.step(copy(x, a));
    b.step(Step::Loop {
        loop_id: 2,
        trip: constant(3),
        iteration: i,
        carries: vec![(a, c)],
        body: vec![inner, call(k, &[a, c])],
    });
    b.step(copy(a, out));
    let out = run(&b.build(), &mut [keep(&[100i64])], &[]);
    assert_eq!(out.buffers[0].to_vec::<i64>(), [112]);
}

#[test]
fn carries_may_be_slices_and_parts() {
    // For i in 0..3: stacked[i] = 1 + 1 + .. (5 times) from x, all inside a slice of the result, and
    // next inside of larger memory.
    let mut b = Builder::new(&[]);
    let x = b.input(Element::I64, constant(1));
    let stacked = b.output(Element::I64, constant(3));
    let cur = b.buffer(
        constant(8),
        Place::LoopSlice {
            of: stacked,
            stride: constant(8),
            loop_id: 0,
        },
    );
    let large = b.arena(Element::I64, constant(4));
    let next = b.buffer(constant(8), Place::Alias(large));
    let [i, j] = [(); 2].map(|_| b.arena(Element::I64, constant(1)));
    let add = b.kernel(add_i64, &[Read, Read, Write], &[constant(1)]);
    let k = b.kernel(increment, &[Read, Write], &[constant(1)]);
    let inner = Step::Loop {
        loop_id: 1,
        trip: constant(5),
        iteration: j,
        carries: vec![(cur, next)],
        body: vec![call(k, &[cur, next])],
    };
    b.step(Step::Loop {
        loop_id: 0,
        trip: constant(3),
        iteration: i,
        carries: vec![],
        body: vec![call(add, &[x, i, cur]), inner],
    });
    let out = run(&b.build(), &mut [keep(&[100i64])], &[]);
    assert_eq!(out.buffers[0].to_vec::<i64>(), [105, 106, 107]);
}

#[test]
fn while_counts_up_and_if_chooses() {
    let mut b = Builder::new(&[]);
    let start = b.input(Element::I64, constant(1));
    let limit = b.input(Element::I64, constant(1));
    let cur = b.output(Element::I64, constant(1));
    let next = b.arena(Element::I64, constant(1));
    let condition = b.arena(Element::Bool, constant(1));
    let branch = b.output(Element::I64, constant(1));
    let less = b.kernel(less_i64, &[Read, Read, Write], &[]);
    let inc = b.kernel(increment, &[Read, Write], &[constant(1)]);
    let copy = |from, to| Step::Copy {
        from,
        to,
        bytes: constant(8),
    };
    b.step(copy(start, cur));
    b.step(Step::While {
        test: vec![call(less, &[cur, limit, condition])],
        condition,
        carries: vec![(cur, next)],
        body: vec![call(inc, &[cur, next])],
    });
    b.step(call(less, &[start, limit, condition]));
    b.step(Step::If {
        condition,
        then: vec![copy(limit, branch)],
        other: vec![copy(start, branch)],
    });
    let program = b.build();
    for (start, limit) in [(0, 5), (0, 4), (7, 3), (-1, 0)] {
        let out = run(&program, &mut [keep(&[start]), keep(&[limit])], &[]);
        let values: Vec<i64> = out.buffers.iter().flat_map(|b| b.to_vec::<i64>()).collect();
        assert_eq!(values, [start.max(limit); 2]);
    }
}

#[test]
fn sorting_moves_payloads_along() {
    let mut b = Builder::new(&[]);
    let keys = b.input(Element::F32, constant(6));
    let payload = b.input(Element::I64, constant(6));
    let sorted = b.output(Element::F32, constant(6));
    let moved = b.output(Element::I64, constant(6));
    b.step(Step::Sort {
        columns: vec![(keys, sorted, Element::F32), (payload, moved, Element::I64)],
        dims: [constant(1), constant(3), constant(2)],
        descending: false,
    });
    let program = b.build();
    let keys = [2f32, f32::NAN, 1.0, 0.0, 2.0, -3.0];
    let out = run(
        &program,
        &mut [keep(&keys), keep(&[0i64, 1, 2, 3, 4, 5])],
        &[],
    );
    assert_eq!(out.buffers[1].to_vec::<i64>(), [2, 5, 0, 3, 4, 1]);
    assert_eq!(
        out.buffers[0].to_vec::<f32>()[..5],
        [1.0, -3.0, 2.0, 0.0, 2.0]
    );
}

/// out = 2 product + 1 over [b, m, n] boxes of a [2, 100, 130] product.
unsafe extern "C" fn epilogue(
    buffers: *const *mut u8,
    _sizes: *const i64,
    bounds: *const i64,
    _status: *const Status,
) {
    // SAFETY: called with the buffers and boxes of its spec.
    unsafe {
        let bounds = std::slice::from_raw_parts(bounds, 6);
        let (product, out) = ((*buffers).cast::<f64>(), (*buffers.add(1)).cast::<f64>());
        for b in bounds[0]..bounds[1] {
            for m in bounds[2]..bounds[3] {
                for n in bounds[4]..bounds[5] {
                    let at = ((b * 100 + m) * 130 + n) as usize;
                    *out.add(at) = 2.0 * *product.add(at) + 1.0;
                }
            }
        }
    }
}

const PRODUCT: [usize; 4] = [2, 100, 130, 300];
const PANELS: usize = 64 * 3 * 300;

/// A product of a left operand stored as [b, k, m] with an epilogue.
fn product() -> Program {
    let [batch, m, n, k] = PRODUCT;
    let dims = PRODUCT.map(|d| constant(d as i64));
    let mut b = Builder::new(&[]);
    let lhs = b.input(Element::F64, constant((batch * m * k) as i64));
    let rhs = b.input(Element::F64, constant((batch * PANELS) as i64));
    let product = b.arena(Element::F64, constant((batch * m * n) as i64));
    let out = b.output(Element::F64, constant((batch * m * n) as i64));
    let kernel = b.kernel(epilogue, &[Read, Write], &dims[..3]);
    b.step(Step::Contract(Contract {
        element: Element::F64,
        factors: [Element::F64; 2],
        dims,
        lhs,
        lhs_strides: [0, k * m, 1, m].map(|s| constant(s as i64)),
        rhs,
        rhs_layout: RightLayout::Panels(constant(PANELS as i64)),
        product,
        epilogue: Some(KernelCall {
            kernel,
            args: vec![product, out],
        }),
    }));
    b.build()
}

#[test]
fn products_call_their_epilogue_on_finished_tiles() {
    let [batch, m, n, k] = PRODUCT;
    let left: Vec<f64> = (0..batch * m * k).map(|i| (i % 7) as f64 - 3.0).collect();
    let right = |b: usize, i: usize, j: usize| ((b + i * 3 + j * 5) % 11) as f64 - 5.0;
    let mut packed = vec![f64::NAN; batch * PANELS];
    for (b, batch) in packed.chunks_mut(PANELS).enumerate() {
        for i in 0..k {
            for j in 0..n {
                batch[j / 64 * 64 * k + i * 64 + j % 64] = right(b, i, j);
            }
        }
    }
    let expected = (0..batch * m * n).map(|at| {
        let (b, i, j) = (at / (m * n), at / n % m, at % n);
        let sum: f64 = (0..k)
            .map(|q| left[(b * k + q) * m + i] * right(b, q, j))
            .sum();
        2.0 * sum + 1.0
    });
    let expected: Vec<f64> = expected.collect();
    let pool = Pool::new(3).unwrap();
    for level in kernels::Level::ALL {
        let program = product().limited_to(level);
        let mut inputs = [keep(&left), keep(&packed)];
        let out = program.run(&mut inputs, &[], &pool).unwrap();
        assert_eq!(out.buffers[0].to_vec::<f64>(), expected, "{level:?}");
    }
}

#[test]
fn programs_survive_serialisation() {
    let built = adder();
    let bytes = built.image.to_bytes().unwrap();
    let image = Image::from_bytes(&bytes).unwrap();
    assert_eq!(image, built.image);
    let program = Builder { image, ..built }.build();
    let out = run(&program, &mut [keep(&[1f32]), keep(&[2f32])], &[1]);
    assert_eq!(out.buffers[0].to_vec::<f32>(), [3.0]);
}

#[test]
fn scratch_memory_is_shared_by_lifetime() {
    // Four buffers in a chain: two are alive at a time.
    let mut b = Builder::new(&["n"]);
    let n = Size::symbol(0);
    let x = b.input(Element::F32, n.clone());
    let k = b.kernel(double_plus_one, &[Read, Write], std::slice::from_ref(&n));
    let mut last = x;
    for i in 0..4 {
        let next = b.arena(Element::F32, n.clone());
        b.image.buffers[next as usize].live = (i, i + 1);
        b.step(call(k, &[last, next]));
        last = next;
    }
    let out = b.output(Element::F32, n);
    b.step(call(k, &[last, out]));
    let program = b.build();
    let mut inputs = [keep(&[1f32; 16])];
    let out = run(&program, &mut inputs, &[16]);
    assert_eq!(out.buffers[0].to_vec::<f32>(), [63.0; 16]);
    assert_eq!(out.report.arena_bytes, 128);
    assert_eq!(program.peak_bytes(&[16]), Ok(128 + 64));
}

#[test]
fn profiles_name_the_steps() {
    let program = adder().build();
    let mut seen = vec![];
    let mut hook = |t: StepTime<'_>| seen.push((t.position, t.name.to_string()));
    let pool = Pool::single();
    let mut inputs = [keep(&[1f32]), keep(&[2f32])];
    program
        .run_profiled(&mut inputs, &[1], &pool, &mut hook)
        .unwrap();
    assert_eq!(seen, [(0, "k0".to_string())]);
}

#[test]
fn foreign_functions_see_memory_and_dims() {
    let mut b = Builder::new(&["n"]);
    let n = Size::symbol(0);
    let x = b.input(Element::U8, n.clone());
    let y = b.output(Element::Bool, n.clone());
    let fault = b.fault("map");
    let target = b.host(Arc::new(|inputs, dims, outputs| {
        assert_eq!(dims, [[inputs[0].len()]]);
        outputs[0].copy_from_slice(inputs[0]);
        Ok(())
    }));
    b.step(Step::Custom {
        target,
        inputs: vec![(x, signature(Element::U8, std::slice::from_ref(&n)))],
        outputs: vec![(y, signature(Element::Bool, &[n]))],
        fault,
    });
    let out = run(&b.build(), &mut [keep(&[0u8, 1, 9])], &[3]);
    // Bools are 0 or 1 whatever the function wrote.
    assert_eq!(out.buffers[0].as_bytes(), [0, 1, 1]);
}

#[cfg(feature = "foreign")]
#[test]
fn library_functions_travel_by_name() {
    let mut b = Builder::new(&["m", "n"]);
    let (m, n) = (Size::symbol(0), Size::symbol(1));
    let x = b.input(Element::C128, m.clone());
    let y = b.output(Element::F64, n.clone());
    let fault = b.fault("sum of waves");
    b.step(Step::Custom {
        target: CustomTarget::Library("fft.c2r.f64".into()),
        inputs: vec![(x, signature(Element::C128, &[m]))],
        outputs: vec![(y, signature(Element::F64, &[n]))],
        fault,
    });
    let image = Image::from_bytes(&b.image.to_bytes().unwrap()).unwrap();
    b.image = image;
    let program = b.build();
    // 1 + 2 cos, whatever the imaginary part of the constant.
    let mut inputs = [keep(&[1f64, 9.0, 1.0, 0.0])];
    let found = run(&program, &mut inputs, &[2, 3]).buffers[0].to_vec::<f64>();
    for (found, expected) in found.iter().zip([3.0, 0.0, 0.0]) {
        assert!((found - expected).abs() < 1e-12);
    }
    let error = program.run(&mut inputs, &[2, 4], &Pool::single());
    let message = error.map(|_| ()).unwrap_err().to_string();
    assert_eq!(
        message,
        "main.rs:7:3: sum of waves: operand 0 is c128[2], which does not fit c128[.., n/2+1] in \
         (c128[.., n/2+1]) -> (f64[.., n])"
    );
}
