//! What a capture in progress has met: random generators and cells.
//!
//! Parameters are numbered: the function's inputs, then two per generator (seed and first stream)
//! and one per cell, in the order in which they are met.

use super::Source;
use crate::cell::TensorCell;
use crate::device::Places;
use crate::engine::capture;
use crate::error::{Error, ErrorKind, Result};
use crate::location::{Place, trail};
use crate::ops::Generator;
use crate::scoped::Counted;
use crate::tensor::{
    Literal, Node, Operand, Operands, Parameter, Recorded, State, Tensor, Traits, internal,
};
use lazulite_ir::{Binary, DType, TensorType};
use smallvec::smallvec;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a parameter beyond the function's own stands for.
enum Extra {
    Seed(usize),
    Stream(usize),
    Cell(usize),
}

struct GeneratorUse {
    generator: Generator,
    seed: Arc<Node>,
    base: Arc<Node>,
    draws: u64,
}

/// What one capture has met.
#[derive(Default)]
pub(crate) struct CaptureState {
    /// Number of the capture, in the process.
    id: u64,
    /// The function's own parameters.
    own: u32,
    extras: Vec<Extra>,
    generators: Vec<GeneratorUse>,
    read: Vec<(TensorCell, Arc<Node>)>,
    /// The last value given to each cell.
    pub written: Vec<(TensorCell, Tensor)>,
    /// Losses that were improved, through which no gradients flow any more.
    forgotten: Vec<Arc<Node>>,
}

thread_local! {
    /// Captures in progress on this thread, the innermost last.
    static STACK: RefCell<Vec<CaptureState>> = const { RefCell::new(Vec::new()) };
}

thread_local! {
    /// Calls of captured functions on this thread that record into a capture in progress.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// How many captured functions are being recorded into a capture, each called by the one before.
pub(super) fn depth() -> u32 {
    DEPTH.get()
}

/// While it lives, one more captured function is being recorded.
pub(super) fn deeper() -> Counted {
    Counted::one_more(&DEPTH)
}

/// A capture in progress; if it is dropped unfinished (the function panicked), nothing remains.
pub(super) struct Recording {
    /// Number of the capture, in the process.
    pub id: u64,
    finished: bool,
    _capture: Counted,
}

/// A number for a function that is being recorded, unique in the process.
pub(crate) fn next_capture() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Relaxed)
}

/// Begins capturing a function with so many parameters.
pub(super) fn begin(parameters: u32) -> Recording {
    let id = next_capture();
    STACK.with_borrow_mut(|stack| {
        stack.push(CaptureState {
            id,
            own: parameters,
            ..CaptureState::default()
        });
    });
    Recording {
        id,
        finished: false,
        _capture: capture(),
    }
}

impl Recording {
    /// Ends the capture and hands out what it met.
    pub fn finish(mut self) -> CaptureState {
        self.finished = true;
        STACK.with_borrow_mut(Vec::pop).unwrap_or_default()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if !self.finished {
            STACK.with_borrow_mut(Vec::pop);
        }
    }
}

/// A node that stands for a parameter with values at `places`, first met at `place`.
pub(super) fn parameter(
    capture: u64,
    index: u32,
    ty: TensorType,
    places: Places,
    place: Place,
) -> Arc<Node> {
    let traits = Traits {
        places,
        ..Traits::default()
    };
    Arc::new(Node::new(
        Recorded::Parameter(Parameter { capture, index }),
        ty,
        place,
        trail(),
        traits,
        State::Lazy(Operands::new()),
    ))
}

impl CaptureState {
    #[track_caller]
    fn extra(&mut self, extra: Extra, ty: TensorType, places: Places) -> Arc<Node> {
        let index = self.own + self.extras.len() as u32;
        self.extras.push(extra);
        parameter(self.id, index, ty, places, Place::here())
    }

    #[track_caller]
    fn generator(&mut self, generator: &Generator) -> &mut GeneratorUse {
        let known = self
            .generators
            .iter()
            .position(|g| g.generator.is(generator));
        let position = known.unwrap_or_else(|| {
            let position = self.generators.len();
            let word = TensorType::scalar(DType::U64);
            let seed = self.extra(Extra::Seed(position), word.clone(), Places::NONE);
            let base = self.extra(Extra::Stream(position), word, Places::NONE);
            self.generators.push(GeneratorUse {
                generator: generator.clone(),
                seed,
                base,
                draws: 0,
            });
            position
        });
        &mut self.generators[position]
    }

    /// Where a parameter of the program comes from.
    pub fn source(&self, parameter: Parameter, arguments: usize) -> Result<Source> {
        let index = parameter.index as usize;
        if parameter.capture != self.id {
            let message = "a tensor of another captured function is used in this one";
            return Err(Error::new(ErrorKind::Capture, "compile", message)
                .hint("pass the tensor in, or compute it again inside"));
        }
        if index < arguments {
            return Ok(Source::Argument(index));
        }
        match self.extras.get(index - arguments) {
            Some(Extra::Seed(i)) => Ok(Source::Seed(*i)),
            Some(Extra::Stream(i)) => Ok(Source::Stream(*i)),
            Some(Extra::Cell(i)) => Ok(Source::Cell(*i)),
            None => Err(internal("compile", "an unknown parameter is used")),
        }
    }

    /// Generators with the number of streams one call takes.
    pub fn generators(&self) -> Vec<(Generator, u64)> {
        let each = self.generators.iter();
        each.map(|g| (g.generator.clone(), g.draws)).collect()
    }

    /// Cells whose value is an input, with the node that stands for it.
    pub fn cells_read(&self) -> impl Iterator<Item = &(TensorCell, Arc<Node>)> {
        self.read.iter()
    }

    /// True if it was forgotten where this tensor came from.
    pub fn is_forgotten(&self, tensor: &Tensor) -> bool {
        let is_it = |node: &Arc<Node>| self.forgotten.iter().any(|f| Arc::ptr_eq(f, node));
        tensor.node().is_ok_and(is_it)
    }
}

/// Inside a capture: gradients flow through this node no more, because what they were wanted for is done.
pub(crate) fn forget_captured(node: &Arc<Node>) {
    STACK.with_borrow_mut(|stack| {
        if let Some(state) = stack.last_mut() {
            state.forgotten.push(node.clone());
        }
    });
}

/// Inside a capture: seed and stream of a fresh draw, relative to what the call will bring.
#[track_caller]
pub(crate) fn captured_stream(generator: &Generator) -> Option<(Operand, Operand)> {
    STACK.with_borrow_mut(|stack| {
        let state = stack.last_mut()?;
        let used = state.generator(generator);
        let draw = Literal {
            dtype: DType::U64,
            bits: used.draws,
            runtime: false,
        };
        used.draws += 1;
        let operands: Operands =
            smallvec![Operand::Node(used.base.clone()), Operand::Literal(draw)];
        let stream = Arc::new(Node::new(
            Recorded::Binary(Binary::Add),
            TensorType::scalar(DType::U64),
            Place::here(),
            trail(),
            Traits::default(),
            State::Lazy(operands),
        ));
        Some((Operand::Node(used.seed.clone()), Operand::Node(stream)))
    })
}

/// Inside a capture: what `cell`, which holds `content`, stands for.
#[track_caller]
pub(crate) fn captured_cell(cell: &TensorCell, content: &Tensor) -> Option<Tensor> {
    STACK.with_borrow_mut(|stack| {
        let state = stack.last_mut()?;
        if let Some((_, tensor)) = state.written.iter().find(|(c, _)| c.is(cell)) {
            return Some(tensor.clone());
        }
        if let Some((_, node)) = state.read.iter().find(|(c, _)| c.is(cell)) {
            return Some(Tensor(Ok(node.clone())));
        }
        let held = content.node().ok()?;
        let (ty, places) = ((*held.ty).clone(), held.traits.places);
        let position = state.read.len();
        let node = state.extra(Extra::Cell(position), ty, places);
        let node = match content.requires_grad() {
            true => Tensor(Ok(node)).same(true).node().ok()?.clone(),
            false => node,
        };
        node.adopt_leaf(held);
        state.read.push((cell.clone(), node.clone()));
        Some(Tensor(Ok(node)))
    })
}

/// Inside a capture: remembers that `cell` is given `tensor`, and says so.
pub(crate) fn write_captured_cell(cell: &TensorCell, tensor: &Tensor) -> bool {
    STACK.with_borrow_mut(|stack| {
        let Some(state) = stack.last_mut() else {
            return false;
        };
        match state.written.iter_mut().find(|(c, _)| c.is(cell)) {
            Some((_, written)) => *written = tensor.clone(),
            None => state.written.push((cell.clone(), tensor.clone())),
        }
        true
    })
}
