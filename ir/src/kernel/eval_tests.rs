//! The kernel interpreter on small kernels, and what it refuses.

use super::test_kernels::{Builder, row_major, softmax};
use super::*;

const F32: DType = DType::F32;

fn var() -> IndexExpr {
    IndexExpr::var(Var::Outer(0))
}

fn inner() -> IndexExpr {
    IndexExpr::var(Var::Inner(0))
}

fn bytes<T: Copy, const N: usize>(values: &[T], to: fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|&v| to(v)).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let quads = bytes.chunks_exact(4);
    quads
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

fn run(
    kernel: &Kernel,
    buffers: &mut [Vec<u8>],
    bounds: Option<&[(i64, i64)]>,
    order: Order,
) -> Result<Vec<FaultRecord>, EvalError> {
    let cells: Vec<Bytes<'_>> = buffers.iter_mut().map(|b| as_cells(b)).collect();
    eval_kernel(kernel, &cells, &|_| Some(3), bounds, order)
}

#[test]
fn softmax_in_three_stages() {
    let kernel = softmax(Dim::constant(2), Dim::symbol("n"));
    let x = [1.0f32, 2.0, 3.0, 5.0, 5.0, 5.0];
    for order in [Order::RowMajor, Order::Scrambled] {
        let mut buffers = [bytes(&x, f32::to_le_bytes), vec![0; 24]];
        run(&kernel, &mut buffers, None, order).unwrap();
        let y = floats(&buffers[1]);
        for (row, out) in x.chunks(3).zip(y.chunks(3)) {
            let e: Vec<f64> = row.iter().map(|&v| f64::from(v).exp()).collect();
            let sum: f64 = e.iter().sum();
            for (e, y) in e.iter().zip(out) {
                assert!((e / sum - f64::from(*y)).abs() < 1e-7);
            }
        }
    }
    // A box touches its rows alone.
    let mut buffers = [bytes(&x, f32::to_le_bytes), vec![0; 24]];
    run(&kernel, &mut buffers, Some(&[(1, 2)]), Order::RowMajor).unwrap();
    assert_eq!(floats(&buffers[1])[..3], [0.0; 3]);
    assert_ne!(floats(&buffers[1])[3], 0.0);
}

#[test]
fn ordered_stages_see_running_sums() {
    let n = Dim::constant(4);
    let mut b = Builder::default();
    b.stage(&[n], true);
    let x = b.load(F32, 0, &inner());
    let sum = b.value(F32, InstOp::Accumulate(Combine::Sum, x));
    b.store(1, &inner(), sum);
    let mut kernel = b.finish(&[], &[(F32, Access::Read), (F32, Access::Write)]);
    let x = bytes(&[1.0f32, 2.0, 3.0, 4.0], f32::to_le_bytes);
    let mut buffers = [x, vec![0; 16]];
    run(&kernel, &mut buffers, None, Order::Scrambled).unwrap();
    assert_eq!(floats(&buffers[1]), [1.0, 3.0, 6.0, 10.0]);

    kernel.stages[0].ordered = false;
    let error = run(&kernel, &mut buffers, None, Order::RowMajor).unwrap_err();
    assert!(error.to_string().contains("not visible"), "{error}");
}

/// `y[i] = x[index[i]]` with a check.
fn gather(bound: i64) -> Kernel {
    let mut b = Builder::default();
    b.stage(&[], false);
    let raw = b.load(DType::I64, 0, &var());
    let checked = InstOp::CheckIndex {
        value: raw,
        bound: Dim::constant(bound),
        fault: 7,
        guard: None,
    };
    let index = b.value(DType::I64, checked);
    let x = b.load(F32, 1, &IndexExpr::value(index));
    b.store(2, &var(), x);
    let buffers = [
        (DType::I64, Access::Read),
        (F32, Access::Read),
        (F32, Access::Write),
    ];
    b.finish(&[Dim::symbol("n")], &buffers)
}

#[test]
fn faults_are_recorded_and_indices_clamped() {
    let index = bytes(&[1i64, -2, 9], i64::to_le_bytes);
    let table = bytes(&[10.0f32, 20.0, 30.0], f32::to_le_bytes);
    let mut buffers = [index, table, vec![0; 12]];
    let faults = run(&gather(3), &mut buffers, None, Order::RowMajor).unwrap();
    assert_eq!(floats(&buffers[2]), [20.0, 10.0, 30.0]);
    let record = |value| FaultRecord {
        fault: 7,
        value,
        bound: 3,
    };
    assert_eq!(faults, [record(-2), record(9)]);
    // A bound larger than the table is a mistake of whoever made the kernel.
    let error = run(&gather(5), &mut buffers, None, Order::RowMajor).unwrap_err();
    let expected = EvalError::OutOfBounds {
        memory: "buffer 1".into(),
        index: 4,
        len: 3,
    };
    assert_eq!(error, expected);
}

#[test]
fn stores_combine_in_the_compute_type() {
    let f16 = DType::F16;
    let mut b = Builder::default();
    b.stage(&[Dim::constant(4)], true);
    let one = b.value(F32, InstOp::Const(Scalar::from_f64(F32, 1.0 / 1024.0)));
    let zero = IndexExpr::constant(Dim::ZERO);
    b.store_with(0, &zero, one, Some(Combine::Sum));
    let kernel = b.finish(&[], &[(f16, Access::ReadWrite)]);
    let mut buffers = [Scalar::from_f64(f16, 1.0).bits().to_le_bytes()[..2].to_vec()];
    run(&kernel, &mut buffers, None, Order::RowMajor).unwrap();
    let sum = eval::read(as_cells(&mut buffers[0]), f16, 0);
    assert_eq!(sum.as_f64(), 1.0 + 4.0 / 1024.0);
}

#[test]
fn empty_loops_leave_identities_and_need_no_sizes() {
    let nothing = Dim::constant(0);
    let mut b = Builder::default();
    b.stage(std::slice::from_ref(&nothing), false);
    let at = row_major(&nothing);
    let odd = Ranges {
        outer: &[],
        inner: &[],
    };
    // Divides by a size that is zero here.
    let zero = Dim::symbol("n").sub(&Dim::constant(3)).unwrap();
    let x = b.load(F32, 0, &at.floor_div(&zero, odd).unwrap());
    let sum = b.value(F32, InstOp::Accumulate(Combine::Prod, x));
    b.stage(&[], false);
    b.store(1, &var(), sum);
    let buffers = [(F32, Access::Read), (F32, Access::Write)];
    let kernel = b.finish(&[Dim::constant(2)], &buffers);
    let mut buffers = [vec![], vec![0; 8]];
    run(&kernel, &mut buffers, None, Order::RowMajor).unwrap();
    assert_eq!(floats(&buffers[1]), [1.0, 1.0]);
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
