//! Replaces every Call by the operations of its body, also in calls within bodies and within the
//! bodies of control flow. What comes from a body gets the source of the call, with the name of
//! the composite appended to the trail: the user's own line is what messages should show.

use crate::PassError;
use crate::build::{Bodies, Builder, Emit, live_nodes};
use lazulite_ir::{Graph, NodeId, Op, Source};
use rustc_hash::FxHashMap;
use std::sync::Arc;

const PASS: &str = "inline";

/// Calls in calls in calls can stand for more operations than any machine holds; beyond this many
/// a program is refused.
const MAX_COPIED: u64 = 1 << 24;

/// The graph without calls.
pub fn inline(graph: &Graph) -> Result<Graph, PassError> {
    inline_with(graph, &mut Bodies::default())
}

/// What a node of a graph being inlined has become.
#[derive(Clone)]
enum Value {
    Node(NodeId),
    /// The results of an inlined call.
    Results(Arc<[NodeId]>),
}

/// A graph in the middle of being copied.
struct Frame<'g> {
    graph: &'g Graph,
    order: std::vec::IntoIter<NodeId>,
    values: Vec<Option<Value>>,
    /// For bodies: the calling node in the frame below, and the call's name and source.
    call: Option<CallSite<'g>>,
}

struct CallSite<'g> {
    node: NodeId,
    name: &'g str,
    source: Option<Arc<Source>>,
    /// Sources already made, by the address of the body's own source.
    made: FxHashMap<Option<*const Source>, Option<Arc<Source>>>,
}

impl<'g> Frame<'g> {
    fn new(graph: &'g Graph, arguments: &[NodeId], call: Option<CallSite<'g>>) -> Frame<'g> {
        let mut values = vec![None; graph.nodes().len()];
        for (input, &argument) in graph.inputs().iter().zip(arguments) {
            values[input.index()] = Some(Value::Node(argument));
        }
        Frame {
            graph,
            order: live_nodes(graph).into_iter(),
            values,
            call,
        }
    }

    /// The new names of nodes that are one tensor, or a tuple kept as one node.
    fn nodes(&self, ids: &[NodeId]) -> Result<Vec<NodeId>, PassError> {
        let name = |id: &NodeId| match &self.values[id.index()] {
            Some(Value::Node(new)) => Ok(*new),
            Some(Value::Results(_)) | None => Err(PassError::Invalid {
                after: "trace",
                report: format!("%{} is used as one tensor", id.0),
            }),
        };
        ids.iter().map(name).collect()
    }

    /// The source of the copy of node `id`.
    fn source_of(&mut self, id: NodeId) -> Option<Arc<Source>> {
        let own = self.graph.source(id);
        let Some(site) = &mut self.call else {
            return own.cloned();
        };
        site.made
            .entry(own.map(Arc::as_ptr))
            .or_insert_with(|| within(site.source.as_deref(), site.name, own))
            .clone()
    }
}

/// The source of an operation of the composite `name` called at `site`.
fn within(site: Option<&Source>, name: &str, own: Option<&Arc<Source>>) -> Option<Arc<Source>> {
    let place = site.or(own.map(|s| &**s))?;
    let parts = [
        site.map_or("", |s| &s.trail),
        name,
        own.map_or("", |s| &s.trail),
    ];
    let trail: Vec<&str> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    Some(Arc::new(Source {
        trail: trail.join(" > ").into(),
        ..place.clone()
    }))
}

fn inline_with(graph: &Graph, bodies: &mut Bodies) -> Result<Graph, PassError> {
    let mut builder = Builder::with_inputs_of(PASS, graph);
    let inputs = builder.graph().inputs().to_vec();
    // Calls nest to any depth, so the frames are a list and not the machine's stack.
    let mut frames = vec![Frame::new(graph, &inputs, None)];
    let mut copied = 0u64;
    loop {
        copied += 1;
        if copied > MAX_COPIED {
            let what = format!("calls stand for more than {MAX_COPIED} operations");
            return Err(builder.unsupported(what));
        }
        let depth = frames.len();
        let Some(frame) = frames.last_mut() else {
            unreachable!("the loop ends with the first frame");
        };
        let Some(id) = frame.order.next() else {
            let results = frame.nodes(frame.graph.outputs())?;
            let Some(site) = frames.pop().and_then(|f| f.call) else {
                return Ok(builder.finish(results, graph));
            };
            frames[depth - 2].values[site.node.index()] = Some(Value::Results(results.into()));
            continue;
        };
        let source = frame.source_of(id);
        builder.at_origin(&frame.graph.origin(id).with_source(source.clone()));
        if let Some(callee) = step(frame, id, source, &mut builder, bodies)? {
            frames.push(callee);
        }
    }
}

/// Copies one node; for a call, returns the frame of its body instead.
fn step<'g>(
    frame: &mut Frame<'g>,
    id: NodeId,
    source: Option<Arc<Source>>,
    builder: &mut Builder,
    bodies: &mut Bodies,
) -> Result<Option<Frame<'g>>, PassError> {
    let graph = frame.graph;
    let node = graph.node(id);
    let value = match &node.op {
        Op::Input { .. } => return Ok(None),
        Op::Call { name, body } => {
            let site = CallSite {
                node: id,
                name,
                source,
                made: FxHashMap::default(),
            };
            let arguments = frame.nodes(&node.inputs)?;
            return Ok(Some(Frame::new(body, &arguments, Some(site))));
        }
        Op::Get { index } => match &frame.values[node.inputs[0].index()] {
            Some(Value::Results(results)) => Value::Node(results[*index as usize]),
            _ => Value::Node(builder.emit(node.op.clone(), &frame.nodes(&node.inputs)?)?),
        },
        op => {
            let op = bodies.map(op, &mut inline_with)?;
            Value::Node(builder.emit(op, &frame.nodes(&node.inputs)?)?)
        }
    };
    frame.values[id.index()] = Some(value);
    Ok(None)
}
