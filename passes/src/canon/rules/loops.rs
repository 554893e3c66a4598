//! Loops of which a part can wait until they are over.

use super::{Rule, order};
use crate::PassError;
use crate::build::{Builder, Emit, live_nodes, operands};
use crate::canon::expr::Expr;
use crate::product::Product;
use lazulite_ir::{Binary, Dim, Graph, Node, NodeId, Op};
use std::sync::Arc;

pub(super) const LOOP: &[Rule] = &[order(
    "loop-products-after",
    "products that a loop does nothing with but add them up are one product with longer sums: so gradients of the \
     weights of recurrent layers need not go to memory and back in every iteration",
    |_, n| products_after(n),
)];

/// A carry to which every iteration adds a product, and which nothing else reads.
struct Summed {
    carry: usize,
    /// The product, in the body.
    product: NodeId,
    /// What the product goes through on its way to the sum, first to last.
    views: Vec<Op>,
}

/// A loop, taken apart.
struct Parts<'a> {
    node: &'a Node,
    trip: &'a Dim,
    carries: usize,
    scanned: usize,
    body: &'a Graph,
}

/// Where the factors of all iterations are found, one behind the other.
enum Source {
    /// In this operand of the loop.
    Operand(usize),
    /// In this result of the body.
    Result(usize),
}

fn products_after(node: &Node) -> Option<Expr> {
    let Op::Loop {
        trip,
        carries,
        scanned,
        body,
    } = &node.op
    else {
        return None;
    };
    let parts = Parts {
        node,
        trip,
        carries: *carries as usize,
        scanned: *scanned as usize,
        body,
    };
    let uses = uses(body);
    let mut results = body.outputs().to_vec();
    // Together they take no more than what the loop goes along and stacks already.
    let along = &body.inputs()[1 + parts.carries..][..parts.scanned];
    let there = along.iter().chain(&body.outputs()[parts.carries..]);
    let mut there = there.map(|&id| parts.count(id));
    let mut free = there.try_fold(0i64, |sum, n| sum.checked_add(n?));
    let mut found = Vec::new();
    for carry in 0..parts.carries {
        let Some(summed) = parts.summed(carry, &uses) else {
            continue;
        };
        if let Some(factors) = parts.sources(&summed, &mut results, &mut free) {
            found.push((summed, factors));
        }
    }
    if found.is_empty() {
        return None;
    }
    parts.rebuilt(&found, &results)
}

/// How often each node of a body is used, its results included.
fn uses(body: &Graph) -> Vec<u32> {
    let mut uses = vec![0; body.nodes().len()];
    let inputs = live_nodes(body).into_iter();
    let inputs = inputs.flat_map(|id| &body.node(id).inputs);
    for id in inputs.chain(body.outputs()) {
        uses[id.index()] += 1;
    }
    uses
}

impl Parts<'_> {
    /// Elements of a tensor in the body, if that is known.
    fn count(&self, id: NodeId) -> Option<i64> {
        let dims = &self.body.tensor_type(id).dims;
        Dim::product(dims).ok()?.as_const()
    }

    /// The carry, if it sums up products.
    fn summed(&self, carry: usize, uses: &[u32]) -> Option<Summed> {
        let (before, after) = (self.body.inputs()[1 + carry], self.body.outputs()[carry]);
        let once = |id: NodeId| uses[id.index()] == 1;
        let sum = self.body.node(after);
        if (sum.op != Op::Binary { f: Binary::Add }) || !once(before) || !once(after) {
            return None;
        }
        let own = sum.inputs.iter().position(|&i| i == before)?;
        let mut at = sum.inputs[1 - own];
        let mut views = Vec::new();
        loop {
            let node = self.body.node(at);
            match node.op {
                _ if !once(at) => return None,
                Op::Reshape { .. } | Op::Permute { .. } => views.push(node.op.clone()),
                Op::Contract { .. } => break,
                _ => return None,
            }
            at = node.inputs[0];
        }
        views.reverse();
        Some(Summed {
            carry,
            product: at,
            views,
        })
    }

    /// Where the factors of a product are to be found when the loop is over; what is not there yet is added to the
    /// `results` of the body. That must take no more memory in an iteration than reading and writing the sum, and no
    /// more than is `free`, as far as sizes are known.
    fn sources(
        &self,
        summed: &Summed,
        results: &mut Vec<NodeId>,
        free: &mut Option<i64>,
    ) -> Option<[Source; 2]> {
        let (before, product) = (results.len(), self.body.node(summed.product));
        let twice = self.count(summed.product).and_then(|n| n.checked_mul(2));
        let room = twice.zip(*free).map(|(twice, free)| twice.min(free));
        let mut used = 0i64;
        let mut source = |factor: NodeId| -> Option<Source> {
            let behind = 1 + self.carries;
            if let Some(input) = self.body.inputs().iter().position(|&i| i == factor) {
                let scanned = (behind..behind + self.scanned).contains(&input);
                if !(1..behind).contains(&input) {
                    return scanned.then_some(Source::Operand(input - 1));
                }
            }
            let mut stacked = results.iter().skip(self.carries);
            if let Some(stack) = stacked.position(|&r| r == factor) {
                return Some(Source::Result(self.carries + stack));
            }
            used = used.checked_add(self.count(factor)?)?;
            if used > room? {
                return None;
            }
            results.push(factor);
            Some(Source::Result(results.len() - 1))
        };
        let sources = source(product.inputs[0]).zip(source(product.inputs[1]));
        match sources {
            Some(_) => *free = free.map(|free| free - used),
            None => results.truncate(before),
        }
        sources.map(<[Source; 2]>::from)
    }

    /// The loop without the sums, and the sums behind it. The body's `results` are its own, the sums included, and the
    /// factors that are added to them.
    fn rebuilt(&self, found: &[(Summed, [Source; 2])], results: &[NodeId]) -> Option<Expr> {
        let gone = |carry: usize| found.iter().any(|(summed, _)| summed.carry == carry);
        let body = self.without(&gone, results).ok()?;
        let carries = self.carries - found.len();
        let op = Op::Loop {
            trip: self.trip.clone(),
            carries: carries as u32,
            scanned: self.scanned as u32,
            body: Arc::new(body),
        };
        let kept = { self.node.inputs.iter().enumerate() }.filter(|(i, _)| !gone(*i));
        let kept: Vec<NodeId> = kept.map(|(_, &input)| input).collect();
        let result = |number: usize| {
            let before = (0..number).filter(|&i| gone(i)).count();
            let index = (number - before) as u32;
            let operands = kept.iter().map(|&i| Expr::Node(i)).collect();
            Expr::op(Op::Get { index }, Expr::Op(op.clone(), operands))
        };
        let sum = |(summed, sources): &(Summed, [Source; 2])| {
            let factors = sources.iter().map(|source| match source {
                Source::Operand(operand) => Expr::Node(self.node.inputs[*operand]),
                Source::Result(number) => result(*number),
            });
            let product = over_iterations(&self.body.node(summed.product).op)?;
            let product = Expr::Op(product, factors.collect());
            let views = summed.views.iter();
            let product = views.fold(product, |x, view| Expr::op(view.clone(), x));
            let start = self.node.inputs[summed.carry];
            Some(Expr::binary(Binary::Add, start, product))
        };
        let own = 0..self.body.outputs().len();
        let own = own.map(
            |i| match found.iter().find(|(summed, _)| summed.carry == i) {
                Some(found) => sum(found),
                None => Some(result(i)),
            },
        );
        own.collect::<Option<Vec<_>>>().map(Expr::Results)
    }

    /// The body without the carries that are `gone`, with these results but for theirs.
    fn without(
        &self,
        gone: &dyn Fn(usize) -> bool,
        results: &[NodeId],
    ) -> Result<Graph, PassError> {
        let mut body = self.body.clone();
        let kept = results.iter().enumerate().filter(|(i, _)| !gone(*i));
        body.set_outputs(kept.map(|(_, &id)| id));
        let mut builder = Builder::new("canon");
        let mut new_of = vec![NodeId(u32::MAX); body.nodes().len()];
        for (i, &input) in body.inputs().iter().enumerate() {
            if i == 0 || !gone(i - 1) {
                builder.at_origin(body.origin(input));
                new_of[input.index()] = builder.input(body.tensor_type(input).clone());
            }
        }
        for id in live_nodes(&body) {
            let op = &body.node(id).op;
            if !matches!(op, Op::Input { .. }) {
                builder.at_origin(body.origin(id));
                new_of[id.index()] = builder.emit(op.clone(), &operands(&body, id, &new_of))?;
            }
        }
        let outputs = body.outputs().iter().map(|o| new_of[o.index()]);
        Ok(builder.finish(outputs, &body))
    }
}

/// The product of operands that have an axis of iterations in front, which is summed over as well.
fn over_iterations(product: &Op) -> Option<Op> {
    let mut product = Product::of(product)?;
    for axes in product.batch.iter_mut().chain(&mut product.sum) {
        axes.iter_mut().for_each(|axis| *axis += 1);
    }
    product.sum.iter_mut().for_each(|axes| axes.insert(0, 0));
    Some(product.op())
}
