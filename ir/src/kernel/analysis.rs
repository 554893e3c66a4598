//! What a kernel costs, counted on its text: bytes it moves and the price of the operations it carries
//! out, as functions of the sizes.
//!
//! Bytes are counted as if caches were ideal: accesses of one buffer through one index expression
//! (and through others that differ from it by a constant, as neighbours do) are one stream, and a stream
//! moves each element it touches once. Guards are taken to hold, and data-dependent indices
//! to differ at every point.

use super::{BufferRef, IndexExpr, InstOp, Kernel, Ranges, Stage, Var};
use crate::{Dim, DimOverflow, price};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// What one run over all outer points costs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Work {
    /// Number of outer points.
    pub points: Dim,
    /// Operations, in the unit of [`price`].
    pub ops: Dim,
    /// Bytes, per buffer parameter.
    pub traffic: Vec<Traffic>,
}

/// Bytes of one buffer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Traffic {
    /// Distinct bytes read.
    pub read: Dim,
    /// Distinct bytes written.
    pub written: Dim,
    /// Bytes read when every outer point fetches anew what it needs.
    pub fetched: Dim,
}

impl Work {
    /// Distinct bytes read from all buffers.
    pub fn bytes_read(&self) -> Result<Dim, DimOverflow> {
        sum(self.traffic.iter().map(|t| &t.read))
    }

    /// Distinct bytes written to all buffers.
    pub fn bytes_written(&self) -> Result<Dim, DimOverflow> {
        sum(self.traffic.iter().map(|t| &t.written))
    }
}

impl Kernel {
    /// Counts bytes and operations.
    pub fn work(&self) -> Result<Work, DimOverflow> {
        let points = Dim::product(&self.outer)?;
        let mut ops = Dim::ZERO;
        for stage in &self.stages {
            let times = points.mul(&Dim::product(&stage.ranges)?)?;
            let price = stage.insts.iter().map(|i| price_of(&i.op)).sum();
            ops = ops.add(&times.mul(&Dim::constant(price))?)?;
        }
        let (reads, writes) = self.streams()?;
        let mut traffic = Vec::with_capacity(self.buffers.len());
        for (i, decl) in self.buffers.iter().enumerate() {
            let of = |streams: &Streams| -> Result<(Dim, Dim), DimOverflow> {
                let mut bytes = (Dim::ZERO, Dim::ZERO);
                for (_, stream) in streams.iter().filter(|(k, _)| k.buffer.0 as usize == i) {
                    let elements = stream.elements()?;
                    bytes.0 = bytes.0.add(&elements)?;
                    bytes.1 = bytes.1.add(&stream.per_point.mul(&points)?)?;
                }
                let size = Dim::constant(decl.dtype.size() as i64);
                Ok((bytes.0.mul(&size)?, bytes.1.mul(&size)?))
            };
            let (read, fetched) = of(&reads)?;
            let (written, _) = of(&writes)?;
            traffic.push(Traffic {
                read,
                written,
                fetched,
            });
        }
        Ok(Work {
            points,
            ops,
            traffic,
        })
    }

    /// All streams of loads and of stores.
    fn streams(&self) -> Result<(Streams, Streams), DimOverflow> {
        let (mut reads, mut writes) = (Streams::default(), Streams::default());
        for stage in &self.stages {
            for inst in &stage.insts {
                match &inst.op {
                    InstOp::Load { buffer, index, .. } => {
                        self.note(&mut reads, *buffer, index, stage)?;
                    }
                    InstOp::Store {
                        buffer,
                        index,
                        combine,
                        ..
                    } => {
                        self.note(&mut writes, *buffer, index, stage)?;
                        if combine.is_some() {
                            self.note(&mut reads, *buffer, index, stage)?;
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok((reads, writes))
    }

    /// Adds one access to the stream it belongs to.
    fn note(
        &self,
        streams: &mut Streams,
        buffer: BufferRef,
        index: &IndexExpr,
        stage: &Stage,
    ) -> Result<(), DimOverflow> {
        let ranges = Ranges {
            outer: &self.outer,
            inner: &stage.ranges,
        };
        let mut data_dependent = false;
        index.visit_values(&mut |_| data_dependent = true);
        // The value at a data-dependent index may differ wherever the stage runs.
        let depends = |v: Var| data_dependent || index.depends_on(v);
        let inner = extents(&stage.ranges, Var::Inner, &depends);
        let outer = extents(&self.outer, Var::Outer, &depends);
        let per_point = Dim::product(&inner)?;
        let points = per_point.mul(&Dim::product(&outer)?)?;
        let span = match index.bounds(ranges) {
            (Some(lo), Some(hi)) => Some(hi.sub(&lo)?.add(&Dim::ONE)?),
            _ => None,
        };
        let mut linear = index.clone();
        let offset = std::mem::replace(&mut linear.constant, Dim::ZERO);
        let key = StreamKey {
            buffer,
            index: linear,
            inner,
        };
        let stream = streams.entry(key).or_insert_with(|| Stream {
            offsets: SmallVec::new(),
            points,
            span,
            per_point,
        });
        if !stream.offsets.contains(&offset) {
            stream.offsets.push(offset);
        }
        Ok(())
    }
}

type Streams = FxHashMap<StreamKey, Stream>;

/// What makes accesses one stream: the index but for its constant, and the loops it runs over.
#[derive(PartialEq, Eq, Hash)]
struct StreamKey {
    buffer: BufferRef,
    index: IndexExpr,
    inner: SmallVec<[Dim; 4]>,
}

struct Stream {
    /// The distinct constants.
    offsets: SmallVec<[Dim; 2]>,
    /// Points of the loops that the index depends on.
    points: Dim,
    /// Distance from the smallest to the largest index, inclusive.
    span: Option<Dim>,
    /// Elements one outer point needs, at one offset.
    per_point: Dim,
}

impl Stream {
    /// Distinct elements: no more than there are points, nor than fit between first and last.
    fn elements(&self) -> Result<Dim, DimOverflow> {
        let count = Dim::constant(self.offsets.len() as i64);
        let points = self.points.mul(&count)?;
        let known: Option<SmallVec<[i64; 2]>> = self.offsets.iter().map(Dim::as_const).collect();
        let spread = match (&*self.offsets, known) {
            ([_], _) => Some(0),
            (_, Some(k)) => k
                .iter()
                .max()
                .zip(k.iter().min())
                .and_then(|(hi, lo)| hi.checked_sub(*lo)),
            _ => None,
        };
        let (Some(span), Some(spread)) = (&self.span, spread) else {
            return Ok(points);
        };
        Ok(smaller(&points, &span.add(&Dim::constant(spread))?))
    }
}

/// The price of an instruction at one point, with the divisions in its index expression.
fn price_of(op: &InstOp) -> i64 {
    let divisions = op.index().map_or(0, IndexExpr::divisions) as i64;
    i64::from(price::inst(op)) + divisions * i64::from(price::DIVISION)
}

/// Extents of the variables that count.
fn extents(
    ranges: &[Dim],
    var: fn(u32) -> Var,
    counts: &dyn Fn(Var) -> bool,
) -> SmallVec<[Dim; 4]> {
    let counted = ranges.iter().enumerate();
    let counted = counted.filter(|(i, _)| counts(var(*i as u32)));
    counted.map(|(_, d)| d.clone()).collect()
}

/// The smaller one, without a minimum in the formula where the order is known.
fn smaller(a: &Dim, b: &Dim) -> Dim {
    match a.compare_le(b) {
        Some(true) => a.clone(),
        Some(false) => b.clone(),
        None => a.minimum(b),
    }
}

fn sum<'a>(dims: impl Iterator<Item = &'a Dim>) -> Result<Dim, DimOverflow> {
    let mut dims = dims;
    dims.try_fold(Dim::ZERO, |sum, d| sum.add(d))
}

#[cfg(test)]
mod tests {
    use super::super::eval_tests::SOFTMAX;
    use super::*;
    use crate::{Unary, parse_kernel};

    const MIB: i64 = 1 << 20;

    fn work(text: &str) -> Work {
        parse_kernel(text).unwrap().work().unwrap()
    }

    #[test]
    fn fused_softmax_streams_once() {
        let text = SOFTMAX.replace("< r", "< 4096");
        let text = text.replace("< n", "< 1024").replace("*n", "*1024");
        let work = work(&text);
        assert_eq!(work.bytes_read(), Ok(Dim::constant(16 * MIB)));
        assert_eq!(work.bytes_written(), Ok(Dim::constant(16 * MIB)));
        // Two exponentials, a quotient, three loads and a store an element, and a few simple ones.
        let each = 2 * price::unary(Unary::Exp) + price::DIVISION + 4 * price::ACCESS;
        let simple = work.ops.as_const().unwrap() - i64::from(each) * 4 * MIB;
        assert!((4 * 4 * MIB..8 * 4 * MIB).contains(&simple), "{simple}");
    }

    #[test]
    fn sizes_may_be_unknown() {
        let work = work(SOFTMAX);
        assert_eq!(work.traffic[0].fetched.to_string(), "4*n*r");
        assert_eq!(work.points.to_string(), "r");
        let sizes = |s: &crate::Symbol| Some(if &*s.0 == "n" { 3 } else { 5 });
        assert_eq!(work.bytes_read().unwrap().eval(&sizes), Some(60));
    }

    #[test]
    fn broadcasts_and_neighbours_are_read_once() {
        // Two halves of a row twice as long, and a bias shared by all rows.
        let halves = work(
            "\
kernel(b0: f32 read, b1: f32 read, b2: f32 write) {
  outer o0 < 100
  lanes inner
  stage i0 < 64 {
    v0 = load b0[o0*128 + i0] : f32
    v1 = load b0[o0*128 + i0 + 64] : f32
    v2 = load b1[i0] : f32
    v3 = mul v0, v1 : f32
    v4 = add v3, v2 : f32
    store b2[o0*64 + i0] = v4
  }
}",
        );
        let bytes = |i: usize| &halves.traffic[i];
        assert_eq!(bytes(0).read, Dim::constant(100 * 128 * 4));
        assert_eq!(bytes(1).read, Dim::constant(64 * 4));
        assert_eq!(bytes(1).fetched, Dim::constant(100 * 64 * 4));
        assert_eq!(bytes(2).written, Dim::constant(100 * 64 * 4));
        // A sliding window reads its input once, not once per place.
        let window = work(
            "\
kernel(b0: f32 read) {
  outer o0 < 10
  lanes inner
  stage i0 < 3 {
    v0 = load b0[o0 + i0] : f32
    v1 = load b0[o0 + i0 + 1] : f32
  }
}",
        );
        assert_eq!(window.bytes_read(), Ok(Dim::constant(13 * 4)));
    }
}
