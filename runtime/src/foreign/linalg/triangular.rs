//! Triangular systems `A X = B`: `linalg.solve_lower` and `linalg.solve_upper` look at one triangle of
//! `A`; `linalg.solve_unit_lower` and `linalg.solve_unit_upper` take its diagonal to be ones. A zero on the
//! diagonal gives infinities or NaN.

use super::{
    Extent, N, SQUARE, Scalar, function, load, nanoseconds, of_scalar, part_mut, scalars, store,
};
use crate::foreign::Function;
use crate::foreign::call::Call;
use faer::Par;
use faer::linalg::triangular_solve::{
    solve_lower_triangular_in_place, solve_unit_lower_triangular_in_place,
    solve_unit_upper_triangular_in_place, solve_upper_triangular_in_place,
};

const RIGHT: super::Pattern = scalars(&[N, Extent::Var('r')]);

pub(in crate::foreign) const FUNCTIONS: &[Function] = &[
    function!("linalg.solve_lower": (SQUARE, RIGHT) -> (RIGHT), |call| of_scalar!(kernel, call, false, false)),
    function!("linalg.solve_upper": (SQUARE, RIGHT) -> (RIGHT), |call| of_scalar!(kernel, call, true, false)),
    function!("linalg.solve_unit_lower": (SQUARE, RIGHT) -> (RIGHT), |call| of_scalar!(kernel, call, false, true)),
    function!("linalg.solve_unit_upper": (SQUARE, RIGHT) -> (RIGHT), |call| of_scalar!(kernel, call, true, true)),
];

fn kernel<T: Scalar>(call: &mut Call<'_>, upper: bool, unit: bool) -> Result<(), String> {
    let core = call.operand_core(1);
    let (n, columns) = (core[0], core[1]);
    call.for_chunks(nanoseconds([n, n, columns]), |chunk| {
        let solutions = chunk.take_result::<T>(0)?;
        for entry in 0..chunk.entries().len() {
            let a = load::<T>(chunk, 0, entry, (n, n))?;
            let mut x = load::<T>(chunk, 1, entry, (n, columns))?;
            let (triangle, right) = (a.as_ref(), x.as_mut());
            match (upper, unit) {
                (false, false) => solve_lower_triangular_in_place(triangle, right, Par::Seq),
                (true, false) => solve_upper_triangular_in_place(triangle, right, Par::Seq),
                (false, true) => solve_unit_lower_triangular_in_place(triangle, right, Par::Seq),
                (true, true) => solve_unit_upper_triangular_in_place(triangle, right, Par::Seq),
            }
            store(
                part_mut(solutions, entry, n * columns),
                columns,
                &x,
                T::narrow,
            );
        }
        Ok(())
    })
}
