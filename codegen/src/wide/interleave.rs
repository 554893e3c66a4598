//! The order of a loop's instructions: lowering writes down a math function for one vector after the other; here the
//! steps of all vectors come in turn, so that each can wait for its operands while the others are at work.

use super::target::{Masks, Target};
use crate::vector::{Bin, Class, Function, Op, Reg, Stmt, Un, statements};
use rustc_hash::{FxHashMap, FxHashSet};

/// Statements that are not worth the effort.
const SHORT: usize = 16;

/// Reorders the bodies of innermost loops.
pub(super) fn interleave(f: &mut Function, target: &Target) {
    let sizes = sizes(f, target);
    let mut bodies = vec![&mut f.body];
    let mut loops = Vec::new();
    while let Some(body) = bodies.pop() {
        for stmt in body {
            let innermost = matches!(stmt, Stmt::For { body, .. } if !has_loop(body));
            let list = if innermost { &mut loops } else { &mut bodies };
            list.extend(stmt.body_mut());
        }
    }
    for body in loops {
        let mut from = 0;
        while from < body.len() {
            let run = body[from..].iter().take_while(|s| movable(s).is_some());
            let to = from + run.count();
            if to - from >= SHORT {
                reorder(&sizes, target.crowd, body, from, to);
            }
            from = to + 1;
        }
    }
}

fn has_loop(body: &[Stmt]) -> bool {
    statements(body).any(|stmt| matches!(stmt, Stmt::For { .. }))
}

/// What computes a value from others alone: the result, the operation, and about how many cycles it takes.
fn movable(stmt: &Stmt) -> Option<(Reg, Op, u32)> {
    let Stmt::Let(r, op) = *stmt else {
        return None;
    };
    let cycles = match op {
        Op::Load { .. } | Op::Get(_) => return None,
        Op::Binary(Bin::Div, ..) | Op::Unary(Un::Sqrt, _) => 12,
        Op::Binary(Bin::Mul | Bin::Scale, ..) | Op::Fma(..) | Op::Compare(..) => 4,
        Op::Binary(Bin::Add | Bin::Sub | Bin::Max | Bin::Min, ..) | Op::Unary(..) => 2,
        Op::Horizontal(..) => 16,
        Op::Convert(..) | Op::SplatLane(_) => 3,
        Op::Const(_) | Op::Splat(_) | Op::Ramp(..) | Op::Binary(..) | Op::Select(..) => 1,
    };
    Some((r, op, cycles))
}

/// Puts the statements `from..to` into the order in which they could begin, if there are registers for that.
fn reorder(sizes: &[usize], crowd: usize, body: &mut [Stmt], from: usize, to: usize) {
    let mut ready: FxHashMap<Reg, u32> = FxHashMap::default();
    let mut order: Vec<(u32, usize)> = Vec::with_capacity(to - from);
    for (n, stmt) in (from..to).zip(&body[from..to]) {
        let Some((r, op, cycles)) = movable(stmt) else {
            return;
        };
        let begin = op.registers().filter_map(|x| ready.get(&x).copied());
        let begin = begin.max().unwrap_or(0);
        ready.insert(r, begin + cycles);
        order.push((begin, n));
    }
    // Of equal times the first written one comes first.
    order.sort_unstable();
    let run: Vec<Stmt> = order.iter().map(|&(_, n)| body[n].clone()).collect();
    let mut behind = FxHashMap::default();
    uses(&body[to..], &mut behind);
    if most_alive(sizes, &run, &behind) <= crowd {
        body[from..to].clone_from_slice(&run);
    }
}

/// Counts the uses of registers.
fn uses(body: &[Stmt], found: &mut FxHashMap<Reg, usize>) {
    for r in statements(body).flat_map(Stmt::registers) {
        *found.entry(r).or_default() += 1;
    }
}

/// How many vector registers each register takes: none for mask registers and constants.
fn sizes(f: &Function, target: &Target) -> Vec<usize> {
    let size = |&(class, lanes): &(Class, u32)| match class {
        Class::Mask => usize::from(target.masks == Masks::Lanes),
        Class::F64 | Class::I64 if lanes > 1 => 2,
        Class::F32 | Class::F64 | Class::I32 | Class::I64 => 1,
    };
    let mut sizes: Vec<usize> = f.regs.iter().map(size).collect();
    for stmt in statements(&f.body) {
        if let Stmt::Let(r, Op::Const(_)) = stmt {
            sizes[r.0 as usize] = 0;
        }
    }
    sizes
}

/// How many vector registers the values of a run take at once; those used `behind` it live to its end.
fn most_alive(sizes: &[usize], run: &[Stmt], behind: &FxHashMap<Reg, usize>) -> usize {
    let mut left = behind.clone();
    uses(run, &mut left);
    let size = |r: Reg| sizes[r.0 as usize];
    // What comes from before the run is there from the start.
    let defined: FxHashSet<Reg> = run.iter().filter_map(movable).map(|m| m.0).collect();
    let read = run.iter().filter_map(movable).flat_map(|m| m.1.registers());
    let outside: FxHashSet<Reg> = read.filter(|r| !defined.contains(r)).collect();
    let mut alive: usize = outside.iter().map(|&r| size(r)).sum();
    let mut most = alive;
    for (r, op, _) in run.iter().filter_map(movable) {
        for x in op.registers() {
            if let Some(n) = left.get_mut(&x) {
                *n -= 1;
                if *n == 0 {
                    alive -= size(x);
                }
            }
        }
        alive += size(r);
        most = most.max(alive);
    }
    most
}
