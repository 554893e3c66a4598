//! Small programs written by hand: an image builder and kernels in Rust.

#![allow(dead_code)] // Every test file uses a part.

use lazulite_runtime::*;
use std::slice::{from_raw_parts, from_raw_parts_mut};
use std::sync::Arc;

pub fn constant(n: i64) -> Size {
    Size::constant(n)
}

/// `bytes` times symbol 0.
pub fn times_n(bytes: i64) -> Size {
    Size(vec![SizeOp::Symbol(0), SizeOp::Const(bytes), SizeOp::Mul])
}

pub fn signature(element: Element, dims: &[Size]) -> Signature {
    let dims = dims.to_vec();
    Signature { element, dims }
}

pub fn empty_image() -> Image {
    Image {
        version: VERSION,
        symbols: vec![],
        inputs: vec![],
        outputs: vec![],
        buffers: vec![],
        kernels: vec![],
        steps: vec![],
        guards: vec![],
        faults: vec![],
        donations: vec![],
    }
}

/// An image under construction, with its code.
pub struct Builder {
    pub image: Image,
    pub code: Vec<KernelFn>,
    pub hosts: Vec<Arc<HostFn>>,
}

impl Builder {
    pub fn new(symbols: &[&str]) -> Builder {
        let mut image = empty_image();
        image.symbols = symbols.iter().map(|s| s.to_string()).collect();
        Builder {
            image,
            code: vec![],
            hosts: vec![],
        }
    }

    pub fn buffer(&mut self, bytes: Size, place: Place) -> u32 {
        let live = (0, 1000);
        self.image.buffers.push(BufferSpec { bytes, place, live });
        self.image.buffers.len() as u32 - 1
    }

    /// An input of one dim and its buffer.
    pub fn input(&mut self, element: Element, dim: Size) -> u32 {
        let bytes = scaled(&dim, element);
        self.image.inputs.push(signature(element, &[dim]));
        let number = self.image.inputs.len() as u32 - 1;
        self.buffer(bytes, Place::Input(number))
    }

    /// An output of one dim and its buffer.
    pub fn output(&mut self, element: Element, dim: Size) -> u32 {
        let buffer = self.buffer(scaled(&dim, element), Place::Output);
        self.result(buffer, element, dim);
        buffer
    }

    pub fn result(&mut self, buffer: u32, element: Element, dim: Size) {
        self.image
            .outputs
            .push((buffer, signature(element, &[dim])));
    }

    pub fn arena(&mut self, element: Element, dim: Size) -> u32 {
        self.buffer(scaled(&dim, element), Place::Arena)
    }

    /// A kernel over one range.
    pub fn kernel(&mut self, code: KernelFn, params: &[Access], outer: &[Size]) -> u32 {
        self.image.kernels.push(KernelSpec {
            name: format!("k{}", self.code.len()),
            params: params.to_vec(),
            can_fault: false,
            outer: outer.to_vec(),
            sizes: vec![],
            cost: constant(1024),
            scratch: constant(0),
            lane_multiple: 4,
        });
        self.code.push(code);
        self.code.len() as u32 - 1
    }

    pub fn host(&mut self, f: Arc<HostFn>) -> CustomTarget {
        self.hosts.push(f);
        CustomTarget::Host(self.hosts.len() as u32 - 1)
    }

    pub fn fault(&mut self, what: &str) -> u32 {
        self.image.faults.push(Fault {
            what: what.into(),
            location: "main.rs:7:3".into(),
        });
        self.image.faults.len() as u32 - 1
    }

    pub fn step(&mut self, step: Step) {
        self.image.steps.push(step);
    }

    pub fn load(self) -> Result<Program, LoadError> {
        // SAFETY: the tests' kernels do what their specs say.
        unsafe { Program::new(self.image, self.code, self.hosts, Arc::new(())) }
    }

    pub fn build(self) -> Program {
        self.load().unwrap()
    }
}

fn scaled(dim: &Size, element: Element) -> Size {
    let mut ops = dim.0.clone();
    ops.extend([SizeOp::Const(element.bytes() as i64), SizeOp::Mul]);
    Size(ops)
}

pub fn call(kernel: u32, args: &[u32]) -> Step {
    Step::Kernel(KernelCall {
        kernel,
        args: args.to_vec(),
    })
}

pub fn keep<T: Plain>(values: &[T]) -> Input {
    Input::keep(Buffer::from_slice(values).unwrap())
}

pub fn donate<T: Plain>(values: &[T]) -> Input {
    Input::donate(Buffer::from_slice(values).unwrap())
}

/// The range of box dimension 0.
///
/// # Safety
/// `bounds` has at least one range.
pub unsafe fn range(bounds: *const i64) -> (usize, usize) {
    // SAFETY: the caller's promise.
    unsafe { (*bounds as usize, *bounds.add(1) as usize) }
}

macro_rules! pointwise {
    ($(#[$doc:meta])* $name:ident, $type:ty, |$($x:ident),*| $value:expr) => {
        $(#[$doc])*
        pub unsafe extern "C" fn $name(
            buffers: *const *mut u8,
            _sizes: *const i64,
            bounds: *const i64,
            _status: *const Status,
        ) {
            // SAFETY: called with the buffers and boxes of its spec.
            unsafe {
                let (from, to) = range(bounds);
                let mut parameter = 0..;
                $(let $x = (*buffers.add(parameter.next().unwrap())).cast::<$type>();)*
                let out = (*buffers.add(parameter.next().unwrap())).cast::<$type>();
                for i in from..to {
                    $(let $x = *$x.add(i);)*
                    *out.add(i) = $value;
                }
            }
        }
    };
}

pointwise!(
    /// out = a + b
    add_f32, f32, |a, b| a + b
);
pointwise!(
    /// out = a + b
    add_i64, i64, |a, b| a + b
);
pointwise!(
    /// out = 2 a + 1
    double_plus_one, f32, |a| 2.0 * a + 1.0
);
pointwise!(
    /// out = a + 1
    increment, i64, |a| a + 1
);
pointwise!(
    /// A slow function whose result shows any difference in evaluation.
    wobble, f32, |a| (0..20).fold(a, |x: f32, k| (x * 1.37 + k as f32).sin() + a)
);

/// out[0] = sum of sizes[0] elements of a.
pub unsafe extern "C" fn sum_f32(
    buffers: *const *mut u8,
    sizes: *const i64,
    _bounds: *const i64,
    _status: *const Status,
) {
    // SAFETY: called with the buffers and sizes of its spec.
    unsafe {
        let a = from_raw_parts((*buffers).cast::<f32>(), *sizes as usize);
        *(*buffers.add(1)).cast::<f32>() = a.iter().sum();
    }
}

/// out[0] (a bool) = a[0] < b[0]
pub unsafe extern "C" fn less_i64(
    buffers: *const *mut u8,
    _sizes: *const i64,
    _bounds: *const i64,
    _status: *const Status,
) {
    // SAFETY: called with the buffers of its spec.
    unsafe {
        let (a, b) = ((*buffers).cast::<i64>(), (*buffers.add(1)).cast::<i64>());
        **buffers.add(2) = u8::from(*a < *b);
    }
}

/// out[i] = a[index[i]], checked against 10 elements with fault 0.
pub unsafe extern "C" fn gather_of_ten(
    buffers: *const *mut u8,
    _sizes: *const i64,
    bounds: *const i64,
    status: *const Status,
) {
    // SAFETY: called with the buffers and boxes of its spec.
    unsafe {
        let (from, to) = range(bounds);
        let a = from_raw_parts((*buffers).cast::<f32>(), 10);
        let index = (*buffers.add(1)).cast::<i64>();
        let out = (*buffers.add(2)).cast::<f32>();
        for i in from..to {
            let at = *index.add(i);
            if !(0..10).contains(&at) {
                (*status).record(0, at, 10);
            }
            *out.add(i) = a[at.clamp(0, 9) as usize];
        }
    }
}

/// Reverses each row of four through scratch: fails if threads share scratch.
pub unsafe extern "C" fn reverse_rows(
    buffers: *const *mut u8,
    _sizes: *const i64,
    bounds: *const i64,
    _status: *const Status,
) {
    // SAFETY: called with the buffers, scratch and boxes of its spec.
    unsafe {
        let (from, to) = range(bounds);
        let scratch = from_raw_parts_mut((*buffers.add(2)).cast::<f32>(), 4);
        for row in from..to {
            let a = from_raw_parts((*buffers).cast::<f32>().add(4 * row), 4);
            scratch.copy_from_slice(a);
            for _ in 0..50 {
                std::hint::black_box(&mut *scratch).reverse();
            }
            scratch.reverse();
            let out = (*buffers.add(1)).cast::<f32>().add(4 * row);
            out.copy_from_nonoverlapping(scratch.as_ptr(), 4);
        }
    }
}

/// Does nothing.
pub unsafe extern "C" fn nothing(
    _buffers: *const *mut u8,
    _sizes: *const i64,
    _bounds: *const i64,
    _status: *const Status,
) {
}
