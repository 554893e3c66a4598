//! Programs written to files and loaded again: the same bits as in the process that compiled them, at every
//! level, and damage is found.

use lazulite_codegen::{CodegenError, CodegenOptions, Level, assemble, compile};
use lazulite_ir::{
    BufferId, Custom, DType, Dim, KernelCall, Place, Plan, PlanBuffer, Step, Symbol, TensorType,
    parse_kernel,
};
use lazulite_runtime::{
    Array, Assembly, Buffer, Contents, Element, FileError, Input, Interface, Metadata, Model,
    Payload, Pool, Port, Program, Signature, Size, SizeOp, Source, appended, kernels,
    write_executable,
};
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};

/// `exp(x) * w`, wholly in f64 so that multiply-add is used or called.
const SCALE: &str = "\
kernel(b0: f64 read, b1: f64 read, b2: f64 write) { outer o0 < n lanes outer stage {
  v0 = load b0[o0] : f64
  v1 = load b1[0] : f64
  v2 = exp v0 : f64
  v3 = mul v2, v1 : f64
  store b2[o0] = v3
} }";

fn plan() -> Plan {
    let n = Dim::symbol("n");
    let vector = TensorType::new(DType::F64, [n.clone()]);
    let buffer = |len: &Dim, place| PlanBuffer {
        dtype: DType::F64,
        len: len.clone(),
        place,
        live: (0, 0),
    };
    Plan {
        symbols: vec![Symbol::new("n")],
        inputs: vec![vector.clone(), TensorType::new(DType::F64, [Dim::ONE])],
        outputs: vec![(BufferId(2), vector)],
        buffers: vec![
            buffer(&n, Place::Input(0)),
            buffer(&Dim::ONE, Place::Input(1)),
            buffer(&n, Place::Output),
        ],
        kernels: vec![parse_kernel(SCALE).unwrap()],
        steps: vec![Step::Kernel(KernelCall {
            kernel: 0,
            args: vec![BufferId(0), BufferId(1), BufferId(2)],
        })],
        ..Plan::default()
    }
}

fn interface() -> Interface {
    let vector = Signature {
        element: Element::F64,
        dims: vec![Size(vec![SizeOp::Symbol(0)])],
    };
    let port = |name: &str, ty: &Signature| Port {
        name: name.into(),
        ty: ty.clone(),
    };
    let one = Signature {
        element: Element::F64,
        dims: vec![Size::constant(1)],
    };
    Interface {
        symbols: vec!["n".into()],
        inputs: vec![port("x", &vector)],
        outputs: vec![port("y", &vector)],
        weights: vec![port("w", &one)],
        sources: vec![Source::Argument(0), Source::Weight(0)],
    }
}

const WEIGHT: f64 = 1.75;

fn assembled() -> Assembly {
    assemble(&plan(), &CodegenOptions::default(), &kernels::Level::ALL, 1).unwrap()
}

/// An executable whose stub is text.
fn file() -> &'static [u8] {
    static FILE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut file = Vec::new();
        let weight = WEIGHT.to_ne_bytes();
        let stub = b"#! not much of a stub";
        let contents = Contents {
            interface: &interface(),
            weights: &[&weight],
            metadata: &Metadata::default(),
        };
        write_executable(&mut file, stub, contents, &assembled()).unwrap();
        file
    });
    &FILE
}

fn load(bytes: &[u8], limit: kernels::Level) -> Result<Payload, FileError> {
    let payload = appended(&Buffer::from_bytes(bytes).unwrap())?;
    // SAFETY: compiled above; what was altered since is found by checksums.
    unsafe { Payload::load(payload, limit) }
}

fn numbers(n: usize) -> Vec<f64> {
    (0..n).map(|i| (i as f64 - 50.0) / 3.0).collect()
}

fn argument(n: usize) -> Array {
    Array {
        element: Element::F64,
        dims: vec![n],
        data: Buffer::from_slice(&numbers(n)).unwrap(),
    }
}

fn run(model: &Model, n: usize) -> Vec<u64> {
    let pool = Pool::single();
    let (arrays, _) = model.run(&[argument(n)], &[], &pool).unwrap();
    assert_eq!(arrays[0].dims, [n]);
    arrays[0].data.to_vec::<u64>()
}

fn run_here(program: &Program, n: usize) -> Vec<u64> {
    let weight = Buffer::from_slice(&[WEIGHT]).unwrap();
    let mut inputs = [argument(n).data, weight].map(Input::keep);
    let outputs = program.run(&mut inputs, &[n as i64], &Pool::single());
    outputs.unwrap().buffers[0].to_vec::<u64>()
}

#[test]
fn files_give_the_same_bits_as_the_process_at_every_level() {
    let mut differing = 0;
    for level in kernels::Level::ALL {
        if !level.is_available() {
            continue;
        }
        let payload = load(file(), level).unwrap();
        assert_eq!(payload.level, level);
        let options = CodegenOptions {
            level: Level::for_files(level),
            ..CodegenOptions::default()
        };
        let program = compile(&plan(), &options, 1).unwrap();
        for n in [0, 1, 5, 101] {
            assert_eq!(
                run(&payload.model, n),
                run_here(&program, n),
                "{level:?} {n}"
            );
        }
        if level == kernels::Level::best() {
            let native = compile(&plan(), &CodegenOptions::default(), 1).unwrap();
            assert_eq!(run(&payload.model, 101), run_here(&native, 101));
        }
        differing += 1;
    }
    assert!(differing > 0);
}

#[test]
fn equal_code_is_kept_once() {
    let assembly = assembled();
    assert_eq!(assembly.levels.len(), 3);
    let portable = &assembly.artifacts[assembly.levels[0].code[0] as usize];
    assert!(!portable.helpers.is_empty(), "it calls multiply-add");
    assert!(assembly.artifacts.len() >= 2);
    let twice = [kernels::Level::Portable; 2];
    let assembly = assemble(&plan(), &CodegenOptions::default(), &twice, 1).unwrap();
    assert_eq!(assembly.artifacts.len(), 1);
}

#[test]
fn functions_of_the_process_are_refused() {
    let mut plan = plan();
    plan.steps.push(Step::Custom {
        target: Custom::Host("f".into(), Arc::new(|_, _, _| Ok(()))),
        inputs: vec![],
        outputs: vec![],
        fault: 0,
    });
    plan.faults.push(lazulite_ir::FaultInfo {
        what: "f".into(),
        source: None,
    });
    let levels = [kernels::Level::Portable];
    let error = assemble(&plan, &CodegenOptions::default(), &levels, 1).unwrap_err();
    assert!(matches!(error, CodegenError::Unsupported(_)), "{error}");
}

#[test]
fn files_cut_short_are_refused() {
    let file = file();
    for cut in [0, 1, 31, 32, 100, 4096, 5000] {
        let error = load(&file[..file.len() - cut - 1], kernels::Level::best());
        assert!(error.is_err(), "{cut} bytes cut");
        let error = load(&file[cut + 1..], kernels::Level::best());
        assert!(error.is_err(), "{cut} bytes cut from the beginning");
    }
    assert!(matches!(
        load(b"\x7fELF and nothing more", kernels::Level::best()),
        Err(FileError::NotOurs(_))
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// Damage is found, or lies where nothing is looked at.
    #[test]
    fn damaged_files_are_refused_or_as_good_as_new(at: prop::sample::Index, flip in 1u8..) {
        let mut damaged = file().to_vec();
        let at = at.index(damaged.len());
        damaged[at] ^= flip;
        if let Ok(payload) = load(&damaged, kernels::Level::best()) {
            let whole = load(file(), kernels::Level::best()).unwrap();
            prop_assert_eq!(run(&payload.model, 9), run(&whole.model, 9));
        }
    }
}
