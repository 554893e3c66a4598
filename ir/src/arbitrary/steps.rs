//! One step of growth: an operation, with operands that fit it.

use super::choices::Choices;
use super::grow::{DTYPES, Grower, Item};
use super::precision::Precision;
use crate::{Binary, Combine, DType, Dim, Dims, Op, Predicate, TensorType, Unary};

type Step = fn(&mut Grower, &mut Choices<'_>) -> Option<()>;

/// The kinds of steps; frequent ones stand several times.
const STEPS: &[Step] = &[
    Grower::binary_step,
    Grower::unary_step,
    Grower::binary_step,
    Grower::unary_step,
    Grower::binary_step,
    Grower::unary_step,
    Grower::binary_step,
    Grower::input_step,
    Grower::leaf_step,
    Grower::cast_step,
    Grower::compare_step,
    Grower::select_step,
    Grower::reshape_step,
    Grower::permute_step,
    Grower::expand_step,
    Grower::slice_step,
    Grower::pad_step,
    Grower::window_step,
    Grower::reduce_step,
    Grower::scan_step,
    Grower::contract_step,
    Grower::fold_step,
    Grower::gather_step,
    Grower::scatter_step,
    Grower::sort_step,
    Grower::complex_step,
    Grower::bitcast_step,
    Grower::random_step,
    Grower::binary_step,
    Grower::unary_step,
    Grower::slice_step,
    Grower::region_step,
    Grower::foreign_step,
];

impl Grower {
    /// Adds something, unless the choices lead nowhere.
    pub(super) fn step(&mut self, choices: &mut Choices<'_>) {
        if self.items.is_empty() && self.input(choices).is_none() {
            return;
        }
        let step = choices.of(STEPS);
        // A step that leads nowhere may have left pieces, which are as good as any other tensors.
        let _ = step(self, choices);
    }

    fn input_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        self.input(choices).map(drop)
    }

    fn leaf_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let dtype = choices.of(&DTYPES);
        match choices.below(3) {
            0 => {
                let value = choices.value(dtype);
                self.constant(value)?;
            }
            1 => {
                let len = Dim::constant(choices.of(&[3, 1, 0, 7, 200]));
                self.add(Op::Iota { len, dtype }, &[])?;
            }
            _ => {
                let x = self.pick(choices, |i| i.rank() > 0)?;
                let size = x.ty.dims[choices.below(x.rank())].clone();
                let value = size
                    .mul(&Dim::constant(choices.of(&[1, 3, -1, 1000])))
                    .ok()?;
                self.add(Op::Size { value, dtype }, &[])?;
            }
        }
        Some(())
    }

    fn random_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let word = |choices: &mut Choices<'_>| choices.value(DType::U64);
        let (seed, stream) = (word(choices), word(choices));
        let (seed, stream) = (self.constant(seed)?, self.constant(stream)?);
        let dims = self.pick(choices, |_| true)?.ty.dims;
        let dtype = choices.of(&[DType::U32, DType::U64]);
        self.add(Op::Random { dims, dtype }, &[&seed, &stream])?;
        Some(())
    }

    fn unary_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let f = choices.of(Unary::ALL);
        let mut x = self.pick_exact(choices)?;
        let everywhere = matches!(f, Unary::Neg | Unary::Abs);
        let real = matches!(f, Unary::Floor | Unary::Round | Unary::Atan | Unary::Erf);
        let fits = if everywhere {
            x.dtype() != DType::Bool
        } else {
            x.dtype().is_float() || (x.dtype().is_complex() && !real)
        };
        if !fits {
            let floats = [DType::F32, DType::F64, DType::F16, DType::BF16];
            x = self.cast(&x, choices.of(&floats))?;
        }
        if x.dtype().is_complex() && f != Unary::Neg {
            x = self.moderate(&x)?;
        }
        self.add(Op::Unary { f }, &[&x]).map(drop)
    }

    /// A second operand with the type of `a`.
    fn partner(&mut self, choices: &mut Choices<'_>, a: &Item) -> Option<Item> {
        let b = self.pick_exact(choices)?;
        self.conform(&b, &a.ty)
    }

    fn binary_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let mut a = self.pick_exact(choices)?;
        let f = choices.of(Binary::ALL);
        let bitwise = matches!(
            f,
            Binary::And | Binary::Or | Binary::Xor | Binary::Shl | Binary::Shr
        );
        if bitwise && !a.dtype().is_int() {
            let ints = [DType::I32, DType::U8, DType::I64, DType::U16];
            a = self.cast(&a, choices.of(&ints))?;
        }
        let mut b = self.partner(choices, &a)?;
        match f {
            Binary::Div | Binary::Pow if a.dtype().is_complex() => {
                let moderated = self.moderate(if f == Binary::Div { &a } else { &b })?;
                let positive = self.away_from_zero(if f == Binary::Div { &b } else { &a })?;
                (a, b) = if f == Binary::Div {
                    (moderated, positive)
                } else {
                    (positive, moderated)
                };
            }
            Binary::Mul if a.dtype().is_complex() => {
                (a, b) = (self.moderate(&a)?, self.moderate(&b)?);
            }
            Binary::Div | Binary::Rem if !(self.config.faults && choices.rarely(4)) => {
                b = self.divisor(&b)?;
            }
            _ => {}
        }
        self.binary(f, &a, &b).map(drop)
    }

    fn compare_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let predicate = choices.of(Predicate::ALL);
        let a = self.pick_exact(choices)?;
        let b = self.partner(choices, &a)?;
        self.add(Op::Compare { predicate }, &[&a, &b]).map(drop)
    }

    fn select_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let a = self.pick(choices, |_| true)?;
        let b = self.pick(choices, |i| i.precision.exact || i.dtype() == a.dtype())?;
        let b = self.conform(&b, &a.ty)?;
        let condition = self.pick_exact(choices)?;
        let ty = TensorType {
            dtype: DType::Bool,
            dims: a.ty.dims.clone(),
        };
        let condition = self.conform(&condition, &ty)?;
        self.add(Op::Select {}, &[&condition, &a, &b]).map(drop)
    }

    fn cast_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let x = self.pick_exact(choices)?;
        self.cast(&x, choices.of(&DTYPES)).map(drop)
    }

    fn bitcast_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let castable = |d: DType| d != DType::Bool && !d.is_complex();
        let x = self.pick(choices, |i| i.precision.exact && castable(i.dtype()))?;
        let x = self.without_nan(&x)?;
        let fits = |&d: &DType| castable(d) && d.size() == x.dtype().size() && d != x.dtype();
        let targets: Vec<DType> = DTYPES.into_iter().filter(fits).collect();
        let dtype = choices.of(&targets);
        self.add(Op::Bitcast { dtype }, &[&x]).map(drop)
    }

    fn complex_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        if let Some(z) = self.pick(choices, |i| i.dtype().is_complex())
            && choices.flag()
        {
            let part = if choices.flag() {
                Op::Imag {}
            } else {
                Op::Real {}
            };
            return self.add(part, &[&z]).map(drop);
        }
        let re = self.pick_exact(choices)?;
        let re = self.cast(&re, choices.of(&[DType::F32, DType::F64]))?;
        let im = self.partner(choices, &re)?;
        self.add(Op::Complex {}, &[&re, &im]).map(drop)
    }

    fn reshape_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let x = self.pick(choices, |_| true)?;
        let mut dims: Vec<Dim> = x.ty.dims.to_vec();
        match choices.below(4) {
            0 => dims.insert(choices.below(dims.len() + 1), Dim::ONE),
            1 => dims = vec![Dim::product(&dims).ok()?],
            2 => {
                let merged = choices.below(dims.len().checked_sub(2)? + 1);
                let inner = dims.remove(merged + 1);
                dims[merged] = dims[merged].mul(&inner).ok()?;
            }
            _ => {
                let axis = choices.below(dims.len());
                let factor = choices.of(&[2, 3, 5]);
                let outer = dims.get(axis)?.floor_div(&Dim::constant(factor)).ok()?;
                dims[axis] = outer;
                dims.insert(axis + 1, Dim::constant(factor));
            }
        }
        let dims = dims.into_iter().collect();
        self.add(Op::Reshape { dims }, &[&x]).map(drop)
    }

    fn permute_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let x = self.pick(choices, |i| i.rank() > 1)?;
        let perm = choices.permutation(x.rank());
        let x = self.add(Op::Permute { perm }, &[&x])?;
        if choices.below(4) == 0 {
            self.add(Op::Barrier {}, &[&x])?;
        }
        Some(())
    }

    fn expand_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let x = self.pick(choices, |_| true)?;
        let mut dims = x.ty.dims.clone();
        let axis = choices.below(x.rank() + 1);
        dims.insert(axis, Dim::ONE);
        let x = self.add(Op::Reshape { dims: dims.clone() }, &[&x])?;
        dims[axis] = Dim::constant(choices.of(&[3, 2, 0, 1, 4]));
        self.add(Op::Expand { dims }, &[&x]).map(drop)
    }

    fn slice_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let x = self.pick(choices, |i| i.rank() > 0)?;
        let (mut start, mut len, mut step) = (Dims::new(), Dims::new(), Vec::new());
        for (axis, size) in x.ty.dims.iter().enumerate() {
            let n = x.dims[axis];
            let stride: i64 = choices.of(&[1, -1, 2, -2, 3]);
            if stride == -1 && choices.flag() {
                // A flip of the whole axis, whatever its size.
                start.push(size.sub(&Dim::ONE).ok()?);
                len.push(size.clone());
            } else {
                let from = choices.below(n);
                let room = if stride > 0 {
                    n.saturating_sub(from + 1)
                } else {
                    from
                };
                let most = if n == 0 {
                    0
                } else {
                    room / stride.unsigned_abs() as usize + 1
                };
                start.push(Dim::constant(from as i64));
                let most = if choices.rarely(12) { 0 } else { most };
                len.push(Dim::constant((most - choices.below(most)) as i64));
            }
            step.push(stride);
        }
        self.add(Op::Slice { start, len, step }, &[&x]).map(drop)
    }

    fn pad_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let x = self.pick(choices, |i| i.rank() > 0)?;
        let mut amounts = |list: &[i64]| -> Dims {
            (0..x.rank())
                .map(|_| Dim::constant(choices.of(list)))
                .collect()
        };
        let (low, high) = (amounts(&[1, 0, -1, 2, -2]), amounts(&[0, 1, -1, 3, -3]));
        let interior = amounts(&[0, 0, 1, 2]);
        let fill = choices.value(x.dtype());
        let fill = self.constant(fill)?;
        let op = Op::Pad {
            low,
            high,
            interior,
        };
        self.add(op, &[&x, &fill]).map(drop)
    }

    fn window_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let x = self.pick(choices, |i| i.rank() > 0)?;
        let op = Op::Window {
            axis: choices.below(x.rank()) as u32,
            size: Dim::constant(choices.of(&[2, 3, 1, 4])),
            stride: Dim::constant(choices.of(&[1, 2, 3])),
            dilation: Dim::constant(choices.of(&[1, 2])),
        };
        self.add(op, &[&x]).map(drop)
    }

    /// An operand for sums and the like: exact, and moderate unless nothing is rounded.
    fn summand(&mut self, choices: &mut Choices<'_>, kind: Combine, rank: usize) -> Option<Item> {
        let ordered = matches!(kind, Combine::Max | Combine::Min);
        let fits = |i: &Item| i.precision.exact && !(ordered && i.dtype().is_complex());
        let x = self.pick(choices, |i| fits(i) && i.rank() >= rank)?;
        if ordered { Some(x) } else { self.moderate(&x) }
    }

    fn reduce_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let kind = choices.of(Combine::ALL);
        let x = self.summand(choices, kind, 0)?;
        let mut axes = choices.axes(x.rank());
        if axes.is_empty() {
            axes = (0..x.rank() as u32).collect();
        }
        self.add(Op::Reduce { kind, axes }, &[&x]).map(drop)
    }

    fn scan_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let kind = choices.of(Combine::ALL);
        let x = self.summand(choices, kind, 1)?;
        let op = Op::Scan {
            kind,
            axis: choices.below(x.rank()) as u32,
            reverse: choices.flag(),
        };
        self.add(op, &[&x]).map(drop)
    }

    fn fold_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let x = self.summand(choices, Combine::Sum, 2)?;
        let axis = choices.below(x.rank() - 1);
        let (stride, dilation) = (choices.of(&[1, 2, 3]), choices.of(&[1, 2]));
        let (windows, places) = (x.dims[axis] as i64, x.dims[x.rank() - 1] as i64);
        let needed = (windows - 1) * stride + (places - 1) * dilation + 1;
        let len = needed.max(0) + choices.of(&[0, 1, 3]);
        let op = Op::Fold {
            axis: axis as u32,
            len: Dim::constant(len),
            stride: Dim::constant(stride),
            dilation: Dim::constant(dilation),
        };
        self.add(op, &[&x]).map(drop)
    }

    /// Any two tensors can be contracted: every axis of the left one is a batch axis, is summed, or
    /// stays, and the right one is given the axes that go with them.
    fn contract_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let mut lhs = self.summand(choices, Combine::Sum, 0)?;
        if lhs.dtype() == DType::Bool {
            lhs = self.cast(&lhs, DType::I32)?;
        }
        let (mut lhs_batch, mut lhs_sum) = (Vec::new(), Vec::new());
        for axis in 0..lhs.rank() as u32 {
            match choices.below(4) {
                0 | 1 => lhs_sum.push(axis),
                2 => lhs_batch.push(axis),
                _ => {}
            }
        }
        let sizes = |axes: &[u32]| -> Vec<Dim> {
            axes.iter()
                .map(|&a| lhs.ty.dims[a as usize].clone())
                .collect()
        };
        let columns = Dim::constant(choices.of(&[2, 1, 3, 0]));
        let dims = [sizes(&lhs_batch), vec![columns], sizes(&lhs_sum)].concat();
        let other = self.pick_exact(choices)?;
        let rhs = TensorType::new(lhs.dtype(), dims);
        let rhs = self.conform(&other, &rhs)?;
        let rhs = self.moderate(&rhs)?;
        // Put the right operand's axes into another order.
        let perm = choices.permutation(rhs.rank());
        let rhs = self.add(Op::Permute { perm: perm.clone() }, &[&rhs])?;
        let place = |axis: usize| {
            perm.iter()
                .position(|&p| p as usize == axis)
                .map(|p| p as u32)
        };
        let batches = lhs_batch.len();
        let rhs_batch = (0..batches).map(place).collect::<Option<_>>()?;
        let rhs_sum = (batches + 1..perm.len())
            .map(place)
            .collect::<Option<_>>()?;
        let wider = accumulators(lhs.dtype());
        let op = Op::Contract {
            lhs_batch,
            rhs_batch,
            lhs_sum,
            rhs_sum,
            acc: choices.of(&wider),
        };
        self.add(op, &[&lhs, &rhs]).map(drop)
    }

    /// Index tensors of one shape for these axes.
    fn index_operands(
        &mut self,
        choices: &mut Choices<'_>,
        x: &Item,
        axes: &[u32],
    ) -> Option<Vec<Item>> {
        let mut indices: Vec<Item> = Vec::new();
        for &axis in axes {
            let dtype = choices.of(&[DType::I64, DType::I32]);
            let source = self.pick(choices, |i| i.precision.exact && i.rank() < 3)?;
            let dims = indices.first().map_or(&source.ty.dims, |i| &i.ty.dims);
            let source = self.with_dims(&source, &dims.clone())?;
            indices.push(if self.config.faults && choices.rarely(4) {
                self.cast(&source, dtype)?
            } else {
                self.indices(&source, dtype, x.dims[axis as usize])?
            });
        }
        Some(indices)
    }

    fn indexed_axes(choices: &mut Choices<'_>, x: &Item) -> Vec<u32> {
        let count = choices.below(x.rank()) + 1;
        let mut axes = choices.permutation(x.rank());
        axes.truncate(count);
        axes
    }

    fn gather_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let x = self.pick(choices, |i| i.rank() > 0)?;
        let axes = Self::indexed_axes(choices, &x);
        let indices = self.index_operands(choices, &x, &axes)?;
        let operands: Vec<&Item> = [&x].into_iter().chain(&indices).collect();
        self.add(Op::Gather { axes }, &operands).map(drop)
    }

    fn scatter_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let kinds = [
            None,
            Some(Combine::Sum),
            Some(Combine::Max),
            Some(Combine::Min),
            Some(Combine::Prod),
        ];
        let combine = choices.of(&kinds);
        let x = match combine {
            None => self.pick(choices, |i| i.precision.exact && i.rank() > 0)?,
            Some(kind) => self.summand(choices, kind, 1)?,
        };
        let axes = Self::indexed_axes(choices, &x);
        let indices = self.index_operands(choices, &x, &axes)?;
        let rest = (0..x.rank()).filter(|&a| !axes.contains(&(a as u32)));
        let mut dims: Vec<Dim> = indices.first()?.ty.dims.to_vec();
        dims.extend(rest.map(|a| x.ty.dims[a].clone()));
        let updates = self.pick_exact(choices)?;
        let updates = self.conform(&updates, &TensorType::new(x.dtype(), dims))?;
        let updates = match combine {
            Some(Combine::Sum | Combine::Prod) => self.moderate(&updates)?,
            Some(Combine::Max | Combine::Min) | None => updates,
        };
        let operands: Vec<&Item> = [&x, &updates].into_iter().chain(&indices).collect();
        self.add(Op::Scatter { axes, combine }, &operands).map(drop)
    }

    fn sort_step(&mut self, choices: &mut Choices<'_>) -> Option<()> {
        let sortable = |i: &Item| i.precision.exact && i.rank() > 0 && !i.dtype().is_complex();
        let keys = self.pick(choices, sortable)?;
        let axis = choices.below(keys.rank()) as u32;
        let descending = choices.flag();
        let payload = self.pick(choices, |i| i.len() == keys.len())?;
        let payload = self.with_dims(&payload, &keys.ty.dims)?;
        let op = Op::Sort { axis, descending };
        let precisions = [Precision::EXACT, payload.precision];
        if choices.flag() {
            self.add_tuple(op, &[&keys, &payload], &precisions)?;
        } else {
            self.add_tuple(op, &[&keys], &precisions[..1])?;
        }
        Some(())
    }
}

/// The types in which products of this type may be summed.
fn accumulators(dtype: DType) -> Vec<DType> {
    let mut list = vec![dtype];
    list.extend_from_slice(match dtype {
        DType::F16 | DType::BF16 => &[DType::F32],
        DType::F32 => &[DType::F64],
        DType::C64 => &[DType::C128],
        DType::I8 | DType::U8 => &[DType::I32, DType::I64],
        _ => &[],
    });
    list
}
