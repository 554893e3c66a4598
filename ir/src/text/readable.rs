//! Whether what is written of a graph can be read back: readers bound how deep graphs nest and how long sizes are,
//! makers of graphs do not.

use super::graph::{parse_graph, print_graph_with_starts};
use super::lex::{MAX_DEPTH, shortened};
use crate::{Graph, NodeId, Source, TextError};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Why no text of a graph can be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unreadable {
    /// The limit, and what exceeds it.
    pub message: String,
    /// Where that was recorded.
    pub source: Option<Arc<Source>>,
}

/// Checks that [`parse_graph`] reads the text of a graph.
///
/// # Errors
/// When it exceeds a limit of the text.
pub fn check_readable(graph: &Graph) -> Result<(), Unreadable> {
    let mut depths = FxHashMap::default();
    let depth = depth(graph, &mut depths);
    if depth > MAX_DEPTH {
        // The deepest nest begins at one of the nodes.
        let deepest =
            |id: &NodeId| regions(graph, *id).any(|r| depths[&Arc::as_ptr(r)] + 1 == depth);
        let source = graph.ids().find(deepest);
        return Err(Unreadable {
            message: format!(
                "functions are nested {depth} levels deep, text holds at most {MAX_DEPTH}"
            ),
            source: source.and_then(|id| recorded_at(graph, id)),
        });
    }
    refused(graph).map_or(Ok(()), Err)
}

/// Where a node was recorded; what has several results may know it at these alone.
fn recorded_at(graph: &Graph, id: NodeId) -> Option<Arc<Source>> {
    let uses = graph
        .ids()
        .filter(|user| graph.node(*user).inputs.contains(&id));
    let mut places = std::iter::once(id).chain(uses);
    places.find_map(|place| graph.source(place).cloned())
}

fn regions(graph: &Graph, id: NodeId) -> impl Iterator<Item = &Arc<Graph>> {
    let regions = graph.node(id).op.regions().into_iter();
    regions.map(|(_, region)| region)
}

/// How many graphs lie in each other below this one.
fn depth(graph: &Graph, known: &mut FxHashMap<*const Graph, u32>) -> u32 {
    let mut deepest = 0;
    for region in graph.ids().flat_map(|id| regions(graph, id)) {
        let inside = match known.get(&Arc::as_ptr(region)) {
            Some(depth) => *depth,
            None => depth(region, known),
        };
        known.insert(Arc::as_ptr(region), inside);
        deepest = deepest.max(inside + 1);
    }
    deepest
}

/// What the reader says to the text of a graph, at the innermost node that it says it of.
fn refused(graph: &Graph) -> Option<Unreadable> {
    let (text, starts) = print_graph_with_starts(graph);
    let error = parse_graph(&text).err()?;
    let at = offset(&text, &error);
    // Starts ascend, as nodes stand in the text.
    let before = starts.iter().take_while(|start| **start <= at).count();
    let id = graph.ids().nth(before.checked_sub(1)?)?;
    let inside = regions(graph, id).find_map(|region| refused(region));
    Some(inside.map_or_else(
        || Unreadable {
            message: format!("{}: `{}`", error.message, shortened(&text[at..])),
            source: recorded_at(graph, id),
        },
        |inside| Unreadable {
            source: inside.source.or_else(|| recorded_at(graph, id)),
            ..inside
        },
    ))
}

/// Where in the text an error is.
fn offset(text: &str, error: &TextError) -> usize {
    let before = text.split_inclusive('\n').take(error.line as usize - 1);
    let line: usize = before.map(str::len).sum();
    let mut columns = text[line..].char_indices();
    let column = columns.nth(error.column as usize - 1);
    line + column.map_or(0, |(at, _)| at)
}
