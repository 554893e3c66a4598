//! Hostile files: whatever the bytes say, and even if all checksums are right, reading and running them ends with
//! a result or an error. The programs have no kernels, so everything that is read or written is the runtime's own
//! doing; machine code itself is trusted.

mod common;

use common::*;
use lazulite_runtime::kernels::Level;
use lazulite_runtime::*;
use proptest::prelude::*;
use std::sync::LazyLock;

/// `y = x` for a vector of open size, and sorted rows of a weight.
fn assembly() -> (Interface, Assembly) {
    let mut b = Builder::new(&["n"]);
    let x = b.input(Element::F32, Size::symbol(0));
    let w = b.input(Element::F32, constant(8));
    let y = b.output(Element::F32, Size::symbol(0));
    let z = b.output(Element::F32, constant(8));
    b.step(Step::Copy {
        from: x,
        to: y,
        bytes: times_n(4),
    });
    b.step(Step::Sort {
        columns: vec![(w, z, Element::F32)],
        dims: [constant(2), constant(4), constant(1)],
        descending: false,
    });
    let image = b.image;
    let port = |name: &str, ty: &Signature| Port {
        name: name.into(),
        ty: ty.clone(),
    };
    let interface = Interface {
        symbols: image.symbols.clone(),
        inputs: vec![port("x", &image.inputs[0])],
        outputs: vec![
            port("y", &image.outputs[0].1),
            port("z", &image.outputs[1].1),
        ],
        weights: vec![port("w", &image.inputs[1])],
        sources: vec![Source::Argument(0), Source::Weight(0)],
    };
    let level = |level| LevelCode {
        level,
        kernels: vec![],
        code: vec![],
    };
    let assembly = Assembly {
        image,
        artifacts: vec![],
        levels: vec![level(Level::Portable), level(Level::Avx2)],
    };
    (interface, assembly)
}

const WEIGHT: [f32; 8] = [4.0, 3.0, 2.0, 1.0, 8.0, 7.0, 6.0, 5.0];

fn weight() -> Vec<u8> {
    WEIGHT.iter().flat_map(|w| w.to_ne_bytes()).collect()
}

fn contents<'a>(interface: &'a Interface, weights: &'a [&'a [u8]]) -> Contents<'a> {
    static METADATA: LazyLock<Metadata> = LazyLock::new(|| Metadata {
        texts: [("classes".to_string(), "a\nb".to_string())].into(),
        arrays: Vec::new(),
    });
    Contents {
        interface,
        weights,
        metadata: &METADATA,
    }
}

fn executable() -> Vec<u8> {
    let (interface, assembly) = assembly();
    let mut file = Vec::new();
    let weight = weight();
    write_executable(
        &mut file,
        b"stub",
        contents(&interface, &[&weight]),
        &assembly,
    )
    .unwrap();
    file
}

fn load(file: &[u8]) -> Result<Payload, FileError> {
    let payload = appended(&Buffer::from_bytes(file).unwrap())?;
    // SAFETY: there is no code in it, and nothing here makes any.
    unsafe { Payload::load(payload, Level::best()) }
}

fn run(model: &Model, dims: &[usize]) -> Result<Arrays, ModelError> {
    let values: Vec<f32> = (0..dims.iter().product()).map(|i| i as f32).collect();
    let array = Array {
        element: Element::F32,
        dims: dims.to_vec(),
        data: Buffer::from_slice(&values).unwrap(),
    };
    let count = model.interface().inputs.len();
    let (arrays, _) = model.run(&vec![array; count], &[], &Pool::single())?;
    Ok(arrays)
}

/// Puts right checksums everywhere, as far as the header makes sense.
fn repair(file: &mut [u8], payload: usize) {
    let word = |file: &[u8], at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
    let sections = (word(file, payload + 16) as u32 as usize).min(16);
    for entry in (0..sections).map(|i| payload + 64 + 32 * i) {
        let (offset, len) = (
            word(file, entry + 8) as usize,
            word(file, entry + 16) as usize,
        );
        let from = payload.saturating_add(offset);
        let sum = file.get(from..from.saturating_add(len)).map(checksum);
        file[entry + 24..entry + 32].copy_from_slice(&sum.unwrap_or(0).to_le_bytes());
    }
    let table = checksum(&file[payload + 64..payload + 64 + 32 * sections]);
    file[payload + 32..payload + 40].copy_from_slice(&table.to_le_bytes());
    let header = checksum(&file[payload..payload + 56]);
    file[payload + 56..payload + 64].copy_from_slice(&header.to_le_bytes());
}

#[test]
fn payloads_come_back() {
    let payload = load(&executable()).unwrap();
    assert_eq!(payload.levels, [Level::Portable, Level::Avx2]);
    assert_eq!(payload.level, Level::best().min(Level::Avx2));
    assert_eq!(payload.model.weight_bytes(), 32);
    let arrays = run(&payload.model, &[8]).unwrap();
    assert_eq!(
        arrays[0].data.to_vec::<f32>(),
        [0., 1., 2., 3., 4., 5., 6., 7.]
    );
    let sorted = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    assert_eq!(arrays[1].data.to_vec::<f32>(), sorted);
}

#[test]
fn exported_files_come_back() {
    let (interface, _) = assembly();
    let mut file = Vec::new();
    write_exported(&mut file, contents(&interface, &[&weight()]), "graph").unwrap();
    let read = |bytes: &[u8]| read_exported(Buffer::from_bytes(bytes).unwrap());
    let found = read(&file).unwrap();
    assert_eq!(
        (found.graph.as_str(), &found.interface),
        ("graph", &interface)
    );
    assert_eq!(found.weights[0].to_vec::<f32>(), WEIGHT);
    assert_eq!(found.metadata.lines(Metadata::CLASSES), ["a", "b"]);
    for len in 0..file.len() {
        assert!(read(&file[..len]).is_err(), "{len} bytes");
    }
    let payload = executable()[4096..].to_vec();
    assert!(matches!(
        read(&payload),
        Err(FileError::Kind(2, FileKind::Exported))
    ));
    file[8] = 7;
    assert_eq!(read(&file).unwrap_err(), FileError::Version(7));
}

#[test]
fn damage_between_sections_is_found_as_it_is_inside_of_them() {
    let (interface, _) = assembly();
    let mut file = Vec::new();
    write_exported(&mut file, contents(&interface, &[&weight()]), "graph").unwrap();
    for at in 0..file.len() {
        file[at] ^= 0x10;
        let found = read_exported(Buffer::from_bytes(&file).unwrap());
        assert!(found.is_err(), "byte {at} of {}", file.len());
        file[at] ^= 0x10;
    }
    // Of an executable, all but the stub and the zeros behind it.
    let mut file = executable();
    for at in 4096..file.len() {
        file[at] ^= 0x10;
        assert!(load(&file).is_err(), "byte {at} of {}", file.len());
        file[at] ^= 0x10;
    }
    file[4096 + 4095] = 1;
    let error = load(&file).unwrap_err().to_string();
    assert!(error.contains("between its sections"), "{error}");
}

#[test]
fn interfaces_must_fit_their_programs() {
    let (good, assembly) = assembly();
    let spoiled: [fn(&mut Interface); 6] = [
        |i| i.symbols[0] = "m".into(),
        |i| i.sources.truncate(1),
        |i| i.sources[0] = Source::Argument(1),
        |i| i.sources[1] = Source::Argument(0),
        |i| i.outputs[0].ty.element = Element::F64,
        |i| i.weights[0].ty.dims = vec![constant(2), constant(4)],
    ];
    for spoil in spoiled {
        let mut interface = good.clone();
        spoil(&mut interface);
        let mut file = Vec::new();
        write_executable(
            &mut file,
            b"",
            contents(&interface, &[&weight()]),
            &assembly,
        )
        .unwrap();
        let error = load(&file).unwrap_err();
        assert!(
            matches!(error, FileError::Load(LoadError::Interface(_))),
            "{error}"
        );
    }
}

#[test]
fn sizes_come_from_arguments_or_the_caller() {
    let model = load(&executable()).unwrap().model;
    let array = |dims: &[usize]| Array {
        element: Element::F32,
        dims: dims.to_vec(),
        data: Buffer::zeroed(dims.iter().product::<usize>() * 4).unwrap(),
    };
    let eight = array(&[8]);
    assert_eq!(model.sizes(&[Some(&eight)], &[]), Ok(vec![8]));
    let unknown = model.sizes(&[None], &[]);
    assert_eq!(unknown, Err(ArgumentError::Unknown("n".into())));
    let given = [("n".to_string(), 2)];
    assert_eq!(model.sizes(&[None], &given), Ok(vec![2]));
    let error = model.sizes(&[Some(&eight)], &given).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`x`: expected f32[n], got f32[8] (where n = 2)"
    );
    let error = model.sizes(&[Some(&array(&[2, 2]))], &[]).unwrap_err();
    assert_eq!(error.to_string(), "`x`: expected f32[n], got f32[2, 2]");
    let error = model.sizes(&[None], &[("k".into(), 2)]).unwrap_err();
    assert_eq!(error.to_string(), "there is no size k, only n");
    let error = model.sizes(&[None], &[("n".into(), -1)]).unwrap_err();
    assert_eq!(error, ArgumentError::Negative("n".into(), -1));
}

#[test]
fn a_size_of_several_axes_is_told_once() {
    let interface = Interface {
        symbols: vec!["n".into()],
        inputs: vec![Port {
            name: "x".into(),
            ty: Signature {
                element: Element::F64,
                dims: vec![Size::symbol(0), Size::symbol(0)],
            },
        }],
        ..Interface::default()
    };
    let array = Array {
        element: Element::F64,
        dims: vec![3, 4],
        data: Buffer::empty(),
    };
    let error = interface.sizes(&[Some(&array)], &[]).unwrap_err();
    let expected = "`x`: expected f64[n, n], got f64[3, 4] (where n = 3)";
    assert_eq!(error.to_string(), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn hostile_payloads_are_errors_or_run(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        size in 0usize..20,
    ) {
        let mut file = executable();
        let payload = 4096;
        // Where something is written: not the zeros between sections, nor the trailer.
        let full: Vec<usize> =
            (payload..file.len() - 32).filter(|at| file[*at] != 0 || at % 4096 < 64).collect();
        for (at, byte) in changes {
            file[full[at.index(full.len())]] = byte;
        }
        repair(&mut file, payload);
        if let Ok(payload) = load(&file) {
            let _ = run(&payload.model, &[size]);
        }
    }
}
