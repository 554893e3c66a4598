//! The kernel interpreter on small kernels, and what it refuses.

use super::Kernel;
use super::eval::{Bytes, EvalError, FaultRecord, Order, as_cells, eval_kernel};
use crate::{Array, parse_kernel};

pub(super) const SOFTMAX: &str = "\
kernel(b0: f32 read, b1: f32 write) {
  outer o0 < r
  lanes inner
  stage i0 < n {
    v0 = load b0[o0*n + i0] : f32
    v1 = accumulate max v0 : f32
  }
  stage {
    v2 = neg v1 : f32
  }
  stage i0 < n {
    v3 = load b0[o0*n + i0] : f32
    v4 = add v3, v2 : f32
    v5 = exp v4 : f32
    v6 = accumulate sum v5 : f32
  }
  stage i0 < n {
    v7 = load b0[o0*n + i0] : f32
    v8 = add v7, v2 : f32
    v9 = exp v8 : f32
    v10 = div v9, v6 : f32
    store b1[o0*n + i0] = v10
  }
}";

/// Runs a kernel with r = 2 and n = 3.
fn run(
    kernel: &Kernel,
    buffers: &mut [Array],
    bounds: Option<&[(i64, i64)]>,
    order: Order,
) -> Result<Vec<FaultRecord>, EvalError> {
    let cells: Vec<Bytes<'_>> = buffers.iter_mut().map(|b| as_cells(&mut b.bytes)).collect();
    let sizes = |s: &crate::Symbol| Some(if &*s.0 == "r" { 2 } else { 3 });
    eval_kernel(kernel, &cells, &sizes, bounds, order)
}

fn floats(values: &[f32]) -> Array {
    Array::from_f32(&[values.len()], values).unwrap()
}

#[test]
fn softmax_in_three_stages() {
    let kernel = parse_kernel(SOFTMAX).unwrap();
    let x = [1.0f32, 2.0, 3.0, 5.0, 5.0, 5.0];
    for order in [Order::RowMajor, Order::Scrambled] {
        let mut buffers = [floats(&x), floats(&[0.0; 6])];
        run(&kernel, &mut buffers, None, order).unwrap();
        for (row, out) in x.chunks(3).zip(buffers[1].to_f64_vec().chunks(3)) {
            let e: Vec<f64> = row.iter().map(|&v| f64::from(v).exp()).collect();
            let sum: f64 = e.iter().sum();
            for (e, y) in e.iter().zip(out) {
                assert!((e / sum - y).abs() < 1e-7);
            }
        }
    }
    // A box touches its rows alone.
    let mut buffers = [floats(&x), floats(&[0.0; 6])];
    run(&kernel, &mut buffers, Some(&[(1, 2)]), Order::RowMajor).unwrap();
    let y = buffers[1].to_f64_vec();
    assert_eq!(y[..3], [0.0; 3]);
    assert_ne!(y[3], 0.0);
}

#[test]
fn ordered_stages_see_running_sums() {
    let text = "\
kernel(b0: f32 read, b1: f32 write) {
  lanes none
  stage i0 < 4 ordered {
    v0 = load b0[i0] : f32
    v1 = accumulate sum v0 : f32
    store b1[i0] = v1
  }
}";
    let mut buffers = [floats(&[1.0, 2.0, 3.0, 4.0]), floats(&[0.0; 4])];
    let kernel = parse_kernel(text).unwrap();
    run(&kernel, &mut buffers, None, Order::Scrambled).unwrap();
    assert_eq!(buffers[1], floats(&[1.0, 3.0, 6.0, 10.0]));

    let unordered = parse_kernel(&text.replace("ordered ", "")).unwrap();
    let error = run(&unordered, &mut buffers, None, Order::RowMajor).unwrap_err();
    assert!(error.to_string().contains("not visible"), "{error}");
}

#[test]
fn values_live_at_one_point() {
    let text = "\
kernel(b0: f32 write) {
  lanes none
  stage i0 < 2 {
    v0 = const f32(1) : f32
  }
  stage {
    store b0[0] = v0
  }
}";
    let error = run(
        &parse_kernel(text).unwrap(),
        &mut [floats(&[0.0])],
        None,
        Order::RowMajor,
    );
    assert!(error.unwrap_err().to_string().contains("not visible"));
}

#[test]
fn faults_are_recorded_and_indices_clamped() {
    let text = "\
kernel(b0: i64 read, b1: f32 read, b2: f32 write) {
  outer o0 < n
  lanes none
  stage {
    v0 = load b0[o0] : i64
    v1 = check_index v0 < 3 fault 7 : i64
    v2 = load b1[v1] : f32
    store b2[o0] = v2
  }
}";
    let mut buffers = [
        Array::from_i64(&[3], &[1, -2, 9]).unwrap(),
        floats(&[10.0, 20.0, 30.0]),
        floats(&[0.0; 3]),
    ];
    let kernel = parse_kernel(text).unwrap();
    let faults = run(&kernel, &mut buffers, None, Order::RowMajor).unwrap();
    assert_eq!(buffers[2], floats(&[20.0, 10.0, 30.0]));
    let record = |value| FaultRecord {
        fault: 7,
        value,
        bound: 3,
    };
    assert_eq!(faults, [record(-2), record(9)]);
    // A bound larger than the table is a mistake of whoever made the kernel.
    let kernel = parse_kernel(&text.replace("< 3", "< 5")).unwrap();
    let expected = EvalError::OutOfBounds {
        memory: "buffer 1".into(),
        index: 4,
        len: 3,
    };
    assert_eq!(
        run(&kernel, &mut buffers, None, Order::RowMajor),
        Err(expected)
    );
}

#[test]
fn stores_combine_in_the_compute_type() {
    let text = "\
kernel(b0: f16 readwrite) {
  lanes none
  stage i0 < 4 ordered {
    v0 = const f32(0.0009765625) : f32
    store b0[0] = v0 combine sum
  }
}";
    let one = crate::Scalar::from_f64(crate::DType::F16, 1.0);
    let mut buffers = [Array::scalar(one)];
    let kernel = parse_kernel(text).unwrap();
    run(&kernel, &mut buffers, None, Order::RowMajor).unwrap();
    assert_eq!(buffers[0].to_f64_vec(), [1.0 + 4.0 / 1024.0]);
}

#[test]
fn empty_loops_leave_identities_and_need_no_sizes() {
    // Divides by a size that is zero here.
    let text = "\
kernel(b0: f32 read, b1: f32 write) {
  outer o0 < 2
  lanes none
  stage i0 < n - 3 {
    v0 = load b0[floordiv(o0*7 + i0*5, n - 3)] : f32
    v1 = accumulate prod v0 : f32
  }
  stage {
    store b1[o0] = v1
  }
}";
    let kernel = parse_kernel(text).unwrap();
    let mut buffers = [floats(&[]), floats(&[0.0; 2])];
    run(&kernel, &mut buffers, None, Order::RowMajor).unwrap();
    assert_eq!(buffers[1], floats(&[1.0, 1.0]));
}

#[test]
fn unwritten_locals_hold_garbage() {
    let text = "\
kernel(b0: f32 write) {
  outer o0 < 2
  lanes none
  local l0: f32[2]
  stage {
    v0 = load l0[0] : f32
    store b0[o0] = v0
    store l0[0] = v1
    v1 = const f32(1) : f32
  }
}";
    let in_order = text.replacen("    store l0[0] = v1\n", "", 1).replace(
        "v1 = const f32(1) : f32\n",
        "v1 = const f32(1) : f32\n    store l0[0] = v1\n",
    );
    let mut buffers = [floats(&[0.0; 2])];
    let kernel = parse_kernel(&in_order).unwrap();
    run(&kernel, &mut buffers, None, Order::RowMajor).unwrap();
    assert!(buffers[0].to_f64_vec().iter().all(|x| x.is_nan()));
    let kernel = parse_kernel(text).unwrap();
    assert!(run(&kernel, &mut buffers, None, Order::RowMajor).is_err());
}

#[test]
fn scrambled_orders_visit_everything_once() {
    for count in 0..50 {
        let mut seen: Vec<i64> = Order::Scrambled.visit(count).collect();
        assert!(count < 2 || seen[1] != seen[0] + 1);
        seen.sort();
        assert_eq!(seen, (0..count).collect::<Vec<_>>());
    }
}
