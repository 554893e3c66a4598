//! Exported functions as files (`.lzl`): interface, graph as text, weights. See `docs/aot.md`.

use super::Exported;
use crate::error::{Error, ErrorKind, Result};
use crate::location::Place;
use lazulite_codegen::signature;
use lazulite_ir::{Graph, Symbol, TensorType, parse_graph, print_graph_with_sources, verify_graph};
use lazulite_runtime::files::{read_buffer, replace};
use lazulite_runtime::{
    Contents, ExportedFile, Interface, Signature, Source, read_exported, write_exported,
};
use std::path::Path;
use std::sync::{Mutex, OnceLock};

impl Exported {
    /// Writes the function to a file, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    #[track_caller]
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let place = Place::here();
        let graph = print_graph_with_sources(&self.graph);
        let weights: Vec<&[u8]> = self.weights.iter().map(|w| w.as_bytes()).collect();
        let contents = Contents {
            interface: &self.interface,
            weights: &weights,
            metadata: &self.metadata,
        };
        let write = |out: &mut dyn std::io::Write| write_exported(out, contents, &graph);
        replace(path.as_ref(), write).map_err(|e| Error::new(ErrorKind::File, "save", e).at(place))
    }

    /// Reads what [`Exported::save`] wrote. Whatever the file holds, it does no harm: it is checked as any
    /// program is, and holds no machine code.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, or is of another version.
    #[track_caller]
    pub fn load(path: impl AsRef<Path>) -> Result<Exported> {
        let (path, place) = (path.as_ref(), Place::here());
        let error = |message: String| Error::new(ErrorKind::File, "load", message).at(place);
        let at = |message: String| error(format!("{}: {message}", path.display()));
        let bytes = read_buffer(path).map_err(error)?;
        let file = read_exported(bytes).map_err(|e| at(e.to_string()))?;
        exported(file).map_err(at)
    }
}

/// A function whose parts fit each other.
fn exported(file: ExportedFile) -> Result<Exported, String> {
    let ExportedFile {
        interface,
        graph,
        weights,
        metadata,
    } = file;
    let graph = parse_graph(&graph).map_err(|e| format!("its graph: {e}"))?;
    verify_graph(&graph).map_err(|e| format!("its graph: {e}"))?;
    let names = interface.symbols.iter();
    let symbols: Vec<Symbol> = names.map(|s| Symbol::new(s)).collect();
    check(&interface, &graph, &symbols)?;
    super::distinct_names(&interface).map_err(|e| e.message().to_owned())?;
    metadata.sample_count(&interface)?;
    Ok(Exported {
        graph,
        symbols,
        interface,
        weights,
        metadata,
        model: OnceLock::new(),
        deployed: Mutex::default(),
    })
}

/// The graph's parameters and results are as the interface says.
fn check(interface: &Interface, graph: &Graph, symbols: &[Symbol]) -> Result<(), String> {
    let same = |ty: &TensorType, stated: &Signature| {
        signature(ty, symbols).is_ok_and(|found| found == *stated)
    };
    if graph.inputs().len() != interface.sources.len() {
        return Err("its graph takes another number of parameters".into());
    }
    for (id, source) in graph.inputs().iter().zip(&interface.sources) {
        let (ports, n) = match source {
            Source::Argument(n) => (&interface.inputs, *n),
            Source::Weight(n) => (&interface.weights, *n),
        };
        let port = ports.get(n as usize);
        if port.is_none_or(|port| !same(graph.tensor_type(*id), &port.ty)) {
            return Err(format!("{source:?} is no parameter of its graph"));
        }
    }
    let results = graph.output_types();
    let fits = results.len() == interface.outputs.len()
        && results
            .iter()
            .zip(&interface.outputs)
            .all(|(ty, port)| same(ty, &port.ty));
    match fits {
        true => Ok(()),
        false => Err("its graph has other results".into()),
    }
}
