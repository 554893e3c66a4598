//! A few kernels for tests, and what it takes to write them down.

use super::*;

/// Collects a kernel's values and stages.
#[derive(Default)]
pub(super) struct Builder {
    values: Vec<DType>,
    stages: Vec<Stage>,
}

impl Builder {
    pub(super) fn stage(&mut self, ranges: &[Dim], ordered: bool) {
        self.stages.push(Stage {
            ranges: ranges.to_vec(),
            ordered,
            insts: Vec::new(),
        });
    }

    fn push(&mut self, result: Option<ValueId>, op: InstOp) {
        let stage = self.stages.last_mut().unwrap();
        stage.insts.push(Inst { result, op });
    }

    pub(super) fn value(&mut self, dtype: DType, op: InstOp) -> ValueId {
        let id = ValueId(self.values.len() as u32);
        self.values.push(dtype);
        self.push(Some(id), op);
        id
    }

    pub(super) fn load(&mut self, dtype: DType, buffer: u32, index: &IndexExpr) -> ValueId {
        let op = InstOp::Load {
            buffer: BufferRef(buffer),
            index: index.clone(),
            guard: None,
        };
        self.value(dtype, op)
    }

    pub(super) fn store(&mut self, buffer: u32, index: &IndexExpr, value: ValueId) {
        self.store_with(buffer, index, value, None);
    }

    pub(super) fn store_with(
        &mut self,
        buffer: u32,
        index: &IndexExpr,
        value: ValueId,
        combine: Option<Combine>,
    ) {
        let op = InstOp::Store {
            buffer: BufferRef(buffer),
            index: index.clone(),
            value,
            combine,
            guard: None,
        };
        self.push(None, op);
    }

    pub(super) fn finish(self, outer: &[Dim], buffers: &[(DType, Access)]) -> Kernel {
        let buffers = buffers.iter();
        Kernel {
            buffers: buffers
                .map(|&(dtype, access)| BufferDecl { dtype, access })
                .collect(),
            outer: outer.to_vec(),
            lanes: Lanes::None,
            locals: Vec::new(),
            values: self.values,
            stages: self.stages,
        }
    }
}

/// `row * columns + column`, over the outer and the inner loop.
pub(super) fn row_major(columns: &Dim) -> IndexExpr {
    let row = IndexExpr::var(Var::Outer(0)).scale(columns).unwrap();
    row.add(&IndexExpr::var(Var::Inner(0))).unwrap()
}

/// Softmax along rows of f32, written in three stages.
pub(super) fn softmax(rows: Dim, columns: Dim) -> Kernel {
    let f32 = DType::F32;
    let mut b = Builder::default();
    let (at, ranges) = (row_major(&columns), [columns]);
    b.stage(&ranges, false);
    let x = b.load(f32, 0, &at);
    let max = b.value(f32, InstOp::Accumulate(Combine::Max, x));
    b.stage(&[], false);
    let low = b.value(f32, InstOp::Unary(Unary::Neg, max));
    let exp = |b: &mut Builder| {
        b.stage(&ranges, false);
        let x = b.load(f32, 0, &at);
        let shifted = b.value(f32, InstOp::Binary(Binary::Add, x, low));
        b.value(f32, InstOp::Unary(Unary::Exp, shifted))
    };
    let e = exp(&mut b);
    let sum = b.value(f32, InstOp::Accumulate(Combine::Sum, e));
    let e = exp(&mut b);
    let y = b.value(f32, InstOp::Binary(Binary::Div, e, sum));
    b.store(1, &at, y);
    b.finish(&[rows], &[(f32, Access::Read), (f32, Access::Write)])
}
