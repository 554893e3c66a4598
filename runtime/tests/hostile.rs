//! Hostile images: whatever the bytes say, loading and running them ends with a result or an error. Their
//! kernels do nothing here, so everything that is read or written is the runtime's own doing.

mod common;

use Access::{Read, ReadWrite, Write};
use common::*;
use lazulite_runtime::*;
use proptest::prelude::*;
use std::sync::Arc;

fn copy(from: u32, to: u32) -> Step {
    let bytes = constant(16);
    Step::Copy { from, to, bytes }
}

/// An image with every kind of step and place.
fn rich() -> Image {
    let mut b = Builder::new(&["n", "m"]);
    let n = Size::symbol(0);
    let x = b.input(Element::F32, times_n(4));
    let yes = b.input(Element::Bool, constant(1));
    let y = b.output(Element::F32, times_n(4));
    let [stacked, z] = [(); 2].map(|_| b.output(Element::F32, times_n(4)));
    let fault = b.fault("anything");
    let k = b.kernel(nothing, &[Read, Write], &[n.clone(), constant(4)]);
    control(&mut b, [x, yes, stacked, k]);
    product(&mut b, x, y);
    b.step(Step::Sort {
        columns: vec![(y, stacked, Element::F32)],
        dims: [n.clone(), constant(2), constant(2)],
        descending: true,
    });
    let f32s = |dims: &[Size]| signature(Element::F32, dims);
    b.step(Step::Custom {
        target: CustomTarget::Host(0),
        inputs: vec![(y, f32s(&[n, constant(4)]))],
        outputs: vec![(stacked, f32s(&[times_n(4)]))],
        fault,
    });
    b.step(call(k, &[y, z]));
    b.image.donations = vec![(0, z)];
    b.image
}

/// A loop over rows of `x` and `stacked`, and a choice with a conditional loop.
fn control(b: &mut Builder, [x, yes, stacked, k]: [u32; 4]) {
    let [cur, next] = [(); 2].map(|_| b.arena(Element::F32, constant(4)));
    let alias = b.buffer(constant(16), Place::Alias(cur));
    let iteration = b.arena(Element::I64, constant(1));
    let slice = |of| Place::LoopSlice {
        of,
        stride: constant(16),
        loop_id: 1,
    };
    let row = b.buffer(constant(16), slice(x));
    let stack = b.buffer(constant(16), slice(stacked));
    let carries = vec![(cur, next)];
    b.step(Step::Loop {
        loop_id: 1,
        trip: Size::symbol(0),
        iteration,
        carries: carries.clone(),
        body: vec![call(k, &[row, next]), copy(row, next), copy(next, stack)],
    });
    let body = vec![copy(cur, next)];
    let test = vec![];
    b.step(Step::If {
        condition: yes,
        then: vec![copy(alias, next)],
        other: vec![Step::While {
            test,
            condition: yes,
            carries,
            body,
        }],
    });
}

/// `y = x` times a panel, with an epilogue.
fn product(b: &mut Builder, x: u32, y: u32) {
    let n = Size::symbol(0);
    let panel = b.arena(Element::F32, constant(4 * 64));
    let kernel = b.kernel(
        nothing,
        &[ReadWrite],
        &[constant(1), n.clone(), constant(4)],
    );
    b.step(Step::Contract(Contract {
        element: Element::F32,
        factors: [Element::F32; 2],
        dims: [constant(1), n, constant(4), constant(4)],
        lhs: x,
        lhs_strides: [0, 0, 4, 1].map(constant),
        rhs: panel,
        rhs_layout: RightLayout::Panels(constant(0)),
        product: y,
        epilogue: Some(KernelCall {
            kernel,
            args: vec![y],
        }),
    }));
}

/// Loads and runs an image.
fn try_out(image: Image) -> Result<(), String> {
    if takes_long(&image) {
        return Ok(());
    }
    let inputs = image.inputs.clone();
    let code = vec![nothing as KernelFn; image.kernels.len()];
    let hosts: Vec<Arc<HostFn>> = vec![Arc::new(|_, _, _| Ok(()))];
    // SAFETY: kernels that do nothing do nothing wrong.
    let program = unsafe { Program::new(image, code, hosts, Arc::new(())) };
    let program = program.map_err(|e| e.to_string())?;
    for n in [0, 1, 3] {
        let sizes = [n, 2];
        let bytes = |s: &Signature| {
            let mut dims = s
                .dims
                .iter()
                .map(|d| usize::try_from(d.eval(&sizes).ok()?).ok());
            let count = dims.try_fold(1usize, |n, d| n.checked_mul(d?));
            count
                .unwrap_or(0)
                .saturating_mul(s.element.bytes())
                .min(1 << 20)
        };
        let zeros = |s| Input::donate(Buffer::zeroed(bytes(s)).unwrap());
        let mut inputs: Vec<Input> = inputs.iter().map(zeros).collect();
        let result = program.run(
            &mut inputs,
            &sizes[..program.image().symbols.len().min(2)],
            &Pool::single(),
        );
        result.map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Endless loops and the use of all memory harm nobody but a test.
fn takes_long(image: &Image) -> bool {
    fn endless(steps: &[Step]) -> bool {
        steps.iter().any(|step| match step {
            Step::If { then, other, .. } => endless(then) || endless(other),
            Step::Loop { body, .. } => endless(body),
            // Buffer 1 is an input that holds zero.
            Step::While { condition, .. } => *condition != 1,
            _ => false,
        })
    }
    let text = format!("{image:?}");
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    let zero = image
        .buffers
        .get(1)
        .is_some_and(|b| matches!(b.place, Place::Input(_)));
    numbers.any(|n| n.len() > 6) || !zero || endless(&image.steps)
}

#[test]
fn the_image_itself_is_fine() {
    try_out(rich()).unwrap();
}

#[test]
fn every_flipped_byte_is_survived() {
    let bytes = rich().to_bytes().unwrap();
    let (mut decoded, mut loaded, mut ran) = (0, 0, 0);
    for at in 8..bytes.len() {
        for value in [0, 1, 2, 3, 5, 8, 63, 64, 127, 128, 255] {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            let Ok(image) = Image::from_bytes(&bytes) else {
                continue;
            };
            decoded += 1;
            match try_out(image) {
                Ok(()) => ran += 1,
                Err(e) if e.starts_with("inconsistent") => loaded += 1,
                Err(_) => {}
            }
        }
    }
    // The mutations reach every layer.
    assert!(
        decoded > 1000 && loaded > 50 && ran > 100,
        "{decoded} {loaded} {ran}"
    );
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut all = rich().to_bytes().unwrap()[..8].to_vec();
        all.extend(bytes);
        if let Ok(image) = Image::from_bytes(&all) {
            let _ = try_out(image);
        }
    }

    #[test]
    fn several_changes_are_survived(
        changes in prop::collection::vec((8usize..2000, any::<u8>()), 1..6)
    ) {
        let mut bytes = rich().to_bytes().unwrap();
        for (at, value) in changes {
            let at = 8 + at % (bytes.len() - 8);
            bytes[at] = value;
        }
        if let Ok(image) = Image::from_bytes(&bytes) {
            let _ = try_out(image);
        }
    }
}
