//! Linear algebra: decompositions make up what they were made of, solutions solve, derivatives are those
//! of differences, and what has no result is an error.

use lazulite::{
    DType, Generator, GradCheck, LstsqDriver, MatrixNorm, QrMode, Tensor, Tolerance, grad,
    gradcheck, gradgradcheck, jvp, vjp,
};

const DTYPES: [DType; 4] = [DType::F32, DType::F64, DType::C64, DType::C128];

/// Random numbers, the same for the same seed.
fn random(seed: u64, dims: &[usize], dtype: DType) -> Tensor {
    let generator = Generator::new(seed);
    let real = generator.randn(dims.to_vec());
    let drawn = match dtype.is_complex() {
        true => Tensor::complex(&real, &generator.randn(dims.to_vec())),
        false => real,
    };
    drawn.cast(dtype).realize().unwrap()
}

fn adjoint(x: &Tensor) -> Tensor {
    x.mt().conj()
}

/// A Hermitian positive definite matrix.
fn definite(x: &Tensor) -> Tensor {
    let n = x.dim(-1);
    x.matmul(&adjoint(x))
        .add(Tensor::eye_of(n.clone(), n, x.dtype().unwrap()))
}

fn precision(dtype: DType) -> f64 {
    match dtype {
        DType::F32 | DType::C64 => 2e-4,
        _ => 1e-11,
    }
}

#[track_caller]
fn assert_close(got: &Tensor, wanted: &Tensor) {
    assert_eq!(got.dims().unwrap(), wanted.dims().unwrap());
    if got.dims().unwrap().contains(&0) {
        return;
    }
    let distance = got
        .sub(wanted)
        .abs()
        .amax(..)
        .cast(DType::F64)
        .item::<f64>()
        .unwrap();
    let bound = precision(got.dtype().unwrap());
    assert!(distance <= bound, "{distance} is more than {bound}");
}

#[track_caller]
fn assert_orthonormal(x: &Tensor) {
    let product = adjoint(x).matmul(x);
    let eye = Tensor::eye_of(x.dim(-1), x.dim(-1), x.dtype().unwrap());
    assert_close(&product, &eye.expand_as(&product));
}

const SHAPES: [&[usize]; 9] = [
    &[3, 3],
    &[1, 1],
    &[5, 2],
    &[2, 5],
    &[2, 3, 4, 4],
    &[40, 33],
    &[0, 0],
    &[3, 0],
    &[0, 2, 3],
];

#[test]
fn decompositions_make_up_the_matrix() {
    for (seed, dims) in SHAPES.into_iter().enumerate() {
        for dtype in DTYPES {
            let a = random(seed as u64, dims, dtype);
            for mode in [QrMode::Reduced, QrMode::Complete] {
                let (q, r) = a.qr(mode);
                assert_close(&q.matmul(&r), &a);
                assert_orthonormal(&q);
                assert_close(&r.triu(), &r);
            }
            let (u, s, vh) = a.svd(false);
            assert_close(&u.mul(s.unsqueeze(-2)).matmul(&vh), &a);
            assert_orthonormal(&u);
            assert_orthonormal(&adjoint(&vh));
            assert_close(&a.svdvals(), &s);
            let (u, _, vh) = a.svd(true);
            assert_orthonormal(&u);
            assert_orthonormal(&vh);
            let (p, l, u) = a.lu();
            assert_close(&p.matmul(&l).matmul(&u), &a);
            let (compact, tau) = a.geqrf();
            let k = dims[dims.len() - 2].min(dims[dims.len() - 1]);
            if dims[dims.len() - 2] >= k && k > 0 {
                let q = compact.narrow(-1, 0, k).householder_product(&tau);
                assert_close(&q.matmul(&compact.narrow(-2, 0, k).triu()), &a);
                let again = compact.narrow(-1, 0, k).ormqr(&tau, &a, true, true);
                assert_close(&again.triu(), &again);
            }
        }
    }
}

#[test]
fn square_matrices_have_roots_and_eigenvalues() {
    for (seed, dims) in [
        &[4, 4][..],
        &[1, 1],
        &[2, 3, 3],
        &[35, 35],
        &[0, 0],
        &[2, 0, 0],
    ]
    .into_iter()
    .enumerate()
    {
        for dtype in DTYPES {
            let a = random(seed as u64, dims, dtype);
            let h = definite(&a).div(dims[0].max(1) as f64);
            for upper in [false, true] {
                let l = h.cholesky(upper);
                let whole = if upper {
                    adjoint(&l).matmul(&l)
                } else {
                    l.matmul(&adjoint(&l))
                };
                assert_close(&whole, &h);
                // The other triangle does not count.
                let half = if upper { h.triu() } else { h.tril() };
                let (values, vectors) = half.eigh(upper);
                assert_close(
                    &vectors.mul(values.unsqueeze(-2)).matmul(&adjoint(&vectors)),
                    &h,
                );
                assert_orthonormal(&vectors);
                assert_close(&half.eigvalsh(upper), &values);
            }
            let (values, vectors) = a.eig();
            assert_close(
                &a.cast(values.dtype().unwrap()).matmul(&vectors),
                &vectors.mul(values.unsqueeze(-2)),
            );
            assert_close(&a.eigvals().sum(-1), &values.sum(-1));
            let root = h.matrix_sqrth();
            assert_close(&root.matmul(&root), &h);
            let (ld, pivots) = h
                .sub(Tensor::eye_of(h.dim(-1), h.dim(-1), dtype))
                .ldl_factor(true);
            let b = random(9, &[dims[dims.len() - 1], 2], dtype);
            let b = b.expand([&dims[..dims.len() - 2], &[dims[dims.len() - 1], 2]].concat());
            let x = ld.ldl_solve(&pivots, &b, true);
            let shifted = h.sub(Tensor::eye_of(h.dim(-1), h.dim(-1), dtype));
            assert_close(
                &shifted.matmul(&x).div(x.abs().amax_or_one()),
                &b.div(x.abs().amax_or_one()),
            );
        }
    }
}

/// The largest magnitude, to scale by.
trait Largest {
    fn amax_or_one(&self) -> Tensor;
}

impl Largest for Tensor {
    fn amax_or_one(&self) -> Tensor {
        match self.dims().unwrap().contains(&0) {
            true => Tensor::full_of((), 1, self.dtype().unwrap()),
            false => self.amax(..).maximum(1),
        }
    }
}

#[test]
fn systems_are_solved() {
    for dtype in DTYPES {
        let a = random(1, &[2, 1, 3, 3], dtype);
        let b = random(2, &[4, 3, 2], dtype);
        assert_close(&a.matmul(&a.solve(&b, true)), &b.expand([2, 4, 3, 2]));
        let right = b.mt();
        assert_close(
            &a.solve(&right, false).matmul(&a),
            &right.expand([2, 4, 2, 3]),
        );
        let vector = random(3, &[3], dtype);
        assert_close(
            &a.matmul(&a.solve(&vector, true).unsqueeze(-1)).squeeze(-1),
            &vector.expand([2, 1, 3]),
        );
        let (lu, pivots) = a.lu_factor();
        for left in [false, true] {
            for turned in [false, true] {
                let b = random(4, &[2, 1, 3, 3], dtype);
                let x = lu.lu_solve(&pivots, &b, left, turned);
                let a = if turned { adjoint(&a) } else { a.clone() };
                assert_close(&if left { a.matmul(&x) } else { x.matmul(&a) }, &b);
            }
        }
        let symmetric = a.add(a.mt());
        let (ld, pivots, info) = symmetric.ldl_factor_ex(false);
        assert_eq!(info.to_vec::<i32>().unwrap(), [0, 0]);
        assert_close(
            &symmetric.matmul(&ld.ldl_solve(&pivots, &b, false)),
            &b.expand([2, 4, 3, 2]),
        );
        let h = definite(&a);
        assert_close(
            &h.matmul(&b.cholesky_solve(&h.cholesky(false), false)),
            &b.expand([2, 4, 3, 2]),
        );
        let eye = Tensor::eye_of(3, 3, dtype).expand([2, 1, 3, 3]);
        assert_close(&h.matmul(&h.cholesky(true).cholesky_inverse(true)), &eye);
        assert_close(&a.matmul(&a.inv()), &eye);
        assert_close(&a.matrix_power(-2).matmul(&a).matmul(&a), &eye);
        assert_close(&a.matrix_exp().matmul(&a.neg().matrix_exp()), &eye);
        let tall = random(5, &[2, 5, 3], dtype);
        let inverse = tall.pinv(&Tolerance::default(), false);
        assert_close(
            &inverse.matmul(&tall),
            &Tensor::eye_of(3, 3, dtype).expand([2, 3, 3]),
        );
        let least = tall.lstsq(&random(6, &[2, 5, 1], dtype), None, LstsqDriver::Gelsd);
        assert_eq!(least.rank.to_vec::<i64>().unwrap(), [3, 3]);
        let (u, p) = tall.polar_decomposition();
        assert_close(&u.matmul(&p), &tall);
    }
}

#[test]
fn ranks_determinants_and_norms() {
    let a = Tensor::from_vec(
        vec![
            1.0f64, 2.0, 2.0, 4.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 3.0,
        ],
        [3, 2, 2],
    );
    let rank = a.matrix_rank(&Tolerance::default(), false);
    assert_eq!(rank.to_vec::<i64>().unwrap(), [1, 0, 2]);
    assert_eq!(a.det().to_vec::<f64>().unwrap(), [0.0, 0.0, 3.0]);
    let (sign, size) = a.slogdet();
    assert_eq!(sign.to_vec::<f64>().unwrap(), [0.0, 0.0, 1.0]);
    assert_eq!(size.to_vec::<f64>().unwrap()[..2], [f64::NEG_INFINITY; 2]);
    let norm = |ord| a.matrix_norm(ord, -2, -1).to_vec::<f64>().unwrap();
    let close = |got: f64, wanted: f64| assert!((got - wanted).abs() < 1e-12, "{got} {wanted}");
    close(norm(MatrixNorm::Nuclear)[0], 5.0);
    close(norm(MatrixNorm::MaxSingular)[2], 3.0);
    close(norm(MatrixNorm::MinSingular)[2], 1.0);
    close(a.cond(None).to_vec::<f64>().unwrap()[2], 3.0);
    assert_eq!(
        a.cond(Some(MatrixNorm::Frobenius)).to_vec::<f64>().unwrap()[1],
        f64::INFINITY
    );
    // The derivative of a determinant that is 0 is the matrix of cofactors.
    let (_, pull) = vjp(|x| vec![x[0].det()], &[&a]).unwrap();
    let cofactors = pull.call(&[&Tensor::ones([3]).cast(DType::F64)]).unwrap();
    let wanted = [4.0, -2.0, -2.0, 1.0, 0.0, 0.0, 0.0, 0.0, 3.0, 0.0, 0.0, 1.0];
    for (got, wanted) in cofactors[0]
        .to_vec::<f64>()
        .unwrap()
        .into_iter()
        .zip(wanted)
    {
        close(got, wanted);
    }
}

#[test]
fn what_has_no_result_is_an_error_that_says_where() {
    let says = |x: Tensor, what: &str| {
        let message = x.realize().unwrap_err().to_string();
        assert!(message.contains(what), "{message}");
    };
    let eye = Tensor::eye(2);
    let batch = Tensor::stack(&[&eye, &eye.neg(), &eye.zeros_like()], 0);
    says(
        batch.cholesky(false),
        "matrix 1 of the batch is not positive definite",
    );
    says(batch.inv(), "matrix 2 of the batch is singular");
    says(
        batch.solve(&Tensor::ones([3, 2]), true),
        "matrix 2 of the batch is singular",
    );
    assert_eq!(batch.inv_ex().1.to_vec::<i32>().unwrap(), [0, 0, 1]);
    assert_eq!(
        batch.cholesky_ex(false).1.to_vec::<i32>().unwrap(),
        [0, 1, 1]
    );
    for bad in [f64::NAN, f64::INFINITY] {
        let x = Tensor::full_of([3, 3], bad, DType::F64);
        says(x.svdvals(), "holds infinities or NaN");
        says(x.eigvalsh(false), "holds infinities or NaN");
        says(x.eig().0, "holds infinities or NaN");
        says(x.cholesky(false), "not positive definite");
        for free in [
            x.qr(QrMode::Reduced).1,
            x.lu().2,
            x.matrix_exp(),
            x.det(),
            x.inv_ex().0,
            x.geqrf().0,
        ] {
            free.realize().unwrap();
        }
        x.ldl_factor(false).0.realize().unwrap();
    }
    says(Tensor::ones([2, 3]).inv(), "not square");
    says(Tensor::ones([2]).svdvals(), "at least two axes");
    says(Tensor::ones([2, 2]).cast(DType::I64).det(), "i64");
    says(
        Tensor::ones([2, 2]).solve(&Tensor::ones([3]), true),
        "solve",
    );
    let wild = Tensor::from_vec(vec![7, 1], [2]).cast(DType::I32);
    says(eye.lu_unpack(&wild).0, "is with row 7");
    says(eye.ldl_solve(&wild, &eye, false), "entry 0 is 7");
}

/// Gradients, second derivatives, and forward mode against reverse mode.
#[track_caller]
fn smooth(function: impl Fn(&[Tensor]) -> Vec<Tensor>, arguments: &[&Tensor]) {
    gradcheck(&function, arguments, &GradCheck::default()).unwrap();
    gradgradcheck(&function, arguments, &GradCheck::default()).unwrap();
    let like = |seed: u64, x: &Tensor| random(seed, &x.dims().unwrap(), x.dtype().unwrap());
    let tangents: Vec<Tensor> = arguments.iter().map(|x| like(50, x)).collect();
    let tangents: Vec<&Tensor> = tangents.iter().collect();
    let (values, moved) = jvp(&function, arguments, &tangents);
    let cotangents: Vec<Tensor> = values.iter().map(|x| like(60, x)).collect();
    let (_, pull) = vjp(&function, arguments).unwrap();
    let pulled = pull.call(&cotangents.iter().collect::<Vec<_>>()).unwrap();
    let product = |x: &[&Tensor], y: &[&Tensor]| -> f64 {
        let each = x.iter().zip(y).map(|(x, y)| x.conj().mul(*y).sum(..));
        each.map(|x| {
            if x.dtype().unwrap().is_complex() {
                x.real()
            } else {
                x
            }
        })
        .map(|x| x.item::<f64>().unwrap())
        .sum()
    };
    fn borrowed(x: &[Tensor]) -> Vec<&Tensor> {
        x.iter().collect()
    }
    let forward = product(&borrowed(&moved), &borrowed(&cotangents));
    let reverse = product(&tangents, &borrowed(&pulled));
    assert!(
        (forward - reverse).abs() <= 1e-8 * (1.0 + reverse.abs()),
        "{forward} {reverse}"
    );
}

const WIDE: [DType; 2] = [DType::F64, DType::C128];

#[test]
fn factors_are_differentiated() {
    for dtype in WIDE {
        let square = random(11, &[3, 3], dtype);
        for (seed, dims) in [[3, 3], [4, 2], [2, 4]].into_iter().enumerate() {
            let a = random(20 + seed as u64, &dims, dtype);
            smooth(
                |x| {
                    let (_, l, u) = x[0].lu();
                    vec![l, u]
                },
                &[&a],
            );
            smooth(
                |x| {
                    let (q, r) = x[0].qr(QrMode::Reduced);
                    vec![q, r]
                },
                &[&a],
            );
        }
        smooth(|x| vec![definite(&x[0]).cholesky(false)], &[&square]);
        smooth(|x| vec![definite(&x[0]).matrix_sqrth()], &[&square]);
        let b = random(12, &[3, 2], dtype);
        for upper in [false, true] {
            smooth(
                |x| {
                    let factor = definite(&x[0]).cholesky(upper);
                    let inverse = factor.cholesky_inverse(upper);
                    vec![x[1].cholesky_solve(&factor, upper), inverse]
                },
                &[&square, &b],
            );
        }
        smooth(
            |x| vec![x[0].solve_triangular(&x[1], true, true, false)],
            &[&square, &b],
        );
        smooth(
            |x| vec![x[0].solve_triangular(&x[1].mt(), false, false, true)],
            &[&square, &b],
        );
        let compact = random(13, &[4, 2], dtype);
        let tau = random(14, &[2], dtype);
        smooth(|x| vec![x[0].householder_product(&x[1])], &[&compact, &tau]);
        smooth(|x| vec![x[0].matrix_exp()], &[&square]);
    }
}

#[test]
fn solutions_and_determinants_are_differentiated() {
    for dtype in WIDE {
        let a = random(31, &[3, 3], dtype);
        let b = random(32, &[3, 2], dtype);
        smooth(|x| vec![x[0].solve(&x[1], true)], &[&a, &b]);
        smooth(|x| vec![x[0].solve(&x[1].mt(), false)], &[&a, &b]);
        smooth(|x| vec![x[0].inv()], &[&a]);
        smooth(|x| vec![x[0].det()], &[&a]);
        smooth(
            |x| {
                let (sign, size) = x[0].slogdet();
                // The sign of a real determinant does not move.
                if sign.dtype().unwrap().is_complex() {
                    vec![sign, size]
                } else {
                    vec![size]
                }
            },
            &[&a],
        );
        for dims in [[3, 2], [2, 3]] {
            let a = random(33, &dims, dtype);
            smooth(|x| vec![x[0].pinv(&Tolerance::default(), false)], &[&a]);
        }
    }
}

#[test]
fn vectors_and_values_are_differentiated() {
    for dtype in WIDE {
        for dims in [[3, 3], [4, 2], [2, 4]] {
            let a = random(41, &dims, dtype);
            // Vectors are free to turn: what does not depend on it.
            smooth(
                |x| {
                    let (u, s, vh) = x[0].svd(false);
                    vec![u.matmul(&vh), s, u.abs(), vh.abs()]
                },
                &[&a],
            );
            smooth(|x| vec![x[0].svdvals()], &[&a]);
        }
        let a = random(42, &[3, 3], dtype);
        smooth(
            |x| {
                let (values, vectors) = x[0].add(adjoint(&x[0])).eigh(false);
                vec![values, vectors.abs()]
            },
            &[&a],
        );
        smooth(|x| vec![x[0].add(adjoint(&x[0])).eigvalsh(true)], &[&a]);
        smooth(
            |x| {
                let (values, vectors) = x[0].eig();
                vec![values, vectors.abs()]
            },
            &[&a],
        );
        smooth(|x| vec![x[0].eigvals()], &[&a]);
    }
}

#[test]
fn values_alone_have_a_gradient_where_they_coincide() {
    let eye = Tensor::eye_of(3, 3, DType::F64);
    let (_, pull) = vjp(
        |x| vec![x[0].svd(false).1.sum(..), x[0].eigh(false).0.sum(..)],
        &[&eye],
    )
    .unwrap();
    let one = Tensor::full_of((), 1, DType::F64);
    let gradient = pull.call(&[&one, &one]).unwrap();
    assert_close(&gradient[0], &eye.mul(2));
}

/// Eigenvectors of equal eigenvalues are free to turn, and have no derivative; the root has one.
#[test]
fn the_root_moves_smoothly_where_eigenvalues_are_equal() {
    let a = Tensor::eye_of(3, 3, DType::F64).mul(4).with_grad();
    let weights = random(21, &[3, 3], DType::F64);
    let loss = a.matrix_sqrth().mul(&weights).sum(..);
    let gradient = grad(&[&loss], &[&a]).unwrap().remove(0);
    assert_close(&gradient, &weights.add(weights.mt()).mul(0.125));
}

#[test]
fn low_rank_is_found_by_samples() {
    let (left, right) = (
        random(22, &[9, 3], DType::F64),
        random(23, &[3, 7], DType::F64),
    );
    let a = left.matmul(&right);
    let whole = |(u, s, v): (Tensor, Tensor, Tensor)| u.mul(s.unsqueeze(-2)).matmul(&v.mt());
    assert_close(&whole(a.svd_lowrank(3, 2, None)), &a);
    let shift = random(24, &[9, 7], DType::F64);
    assert_close(&whole(a.add(&shift).svd_lowrank(3, 2, Some(&shift))), &a);
    let centred = a.sub(a.mean(0));
    assert_close(&whole(a.pca_lowrank(3, true, 2)), &centred);
    assert!(a.svd_lowrank(8, 2, None).0.check().is_err());
}
