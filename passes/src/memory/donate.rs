//! Parameters that results may overwrite, if the caller gives them up: those that are dead when the
//! result is first written, or that the very step reads in place.

use super::alias::{Storage, candidates, safe_call, safe_epilogue};
use super::lifetimes::{Lifetimes, visit};
use lazulite_ir::{BufferId, DType, Dim, Place, Plan, Step};
use rustc_hash::{FxHashMap, FxHashSet};

/// Memory that can stand for each other.
type Kind = (usize, Dim);

fn kind(dtype: DType, len: &Dim) -> Kind {
    (dtype.size(), len.clone())
}

/// The donations of a plan whose aliases are decided: every parameter is given to one result at
/// most, and every result takes one parameter at most.
pub(super) fn donations(
    plan: &Plan,
    uses: &Lifetimes,
    storage: &mut Storage,
) -> Vec<(u32, BufferId)> {
    let results: FxHashSet<BufferId> = plan.outputs.iter().map(|o| storage.root(o.0)).collect();
    let mut pairs = in_place_pairs(plan, uses, storage);
    pairs.retain(|(input, output)| results.contains(output) && !results.contains(input));
    let (mut taken, mut given) = (FxHashSet::default(), FxHashSet::default());
    let mut found = Vec::new();
    for (input, output) in pairs {
        if let Place::Input(number) = plan.buffers[input.0 as usize].place
            && !taken.contains(&number)
            && given.insert(output)
        {
            taken.insert(number);
            found.push((number, output));
        }
    }
    let mut dead = dead_inputs(plan, storage, &results, &taken);
    for output in born_in_order(plan, storage, &results) {
        let buffer = &plan.buffers[output.0 as usize];
        let birth = storage.live(output).0;
        if given.contains(&output) {
            continue;
        }
        let Some(inputs) = dead.get_mut(&kind(buffer.dtype, &buffer.len)) else {
            continue;
        };
        // The longest dead first: the others may still serve results born later.
        let is_dead = |(death, _): &(Option<u32>, u32)| death.is_none_or(|d| d < birth);
        if let Some((_, number)) = inputs.pop_if(|entry| is_dead(entry)) {
            found.push((number, output));
        }
    }
    found
}

/// Results in memory of their own, in order of their first write.
fn born_in_order(
    plan: &Plan,
    storage: &mut Storage,
    results: &FxHashSet<BufferId>,
) -> Vec<BufferId> {
    let own = |id: &BufferId| plan.buffers[id.0 as usize].place == Place::Output;
    let mut list: Vec<BufferId> = results.iter().copied().filter(own).collect();
    list.sort_by_key(|&id| (storage.live(id).0, id));
    list
}

/// Parameters by kind, with their last use, the earliest last.
fn dead_inputs(
    plan: &Plan,
    storage: &mut Storage,
    results: &FxHashSet<BufferId>,
    taken: &FxHashSet<u32>,
) -> FxHashMap<Kind, Vec<(Option<u32>, u32)>> {
    let mut dead: FxHashMap<Kind, Vec<(Option<u32>, u32)>> = FxHashMap::default();
    for (i, buffer) in plan.buffers.iter().enumerate() {
        let id = BufferId(i as u32);
        let Place::Input(number) = buffer.place else {
            continue;
        };
        if results.contains(&id) || taken.contains(&number) {
            continue;
        }
        let death = storage.touched(id).map(|_| storage.live(id).1);
        let list = dead.entry(kind(buffer.dtype, &buffer.len)).or_default();
        list.push((death, number));
    }
    for list in dead.values_mut() {
        list.sort_by_key(|&entry| std::cmp::Reverse(entry));
    }
    dead
}

/// Parameters read for the last time by the step that first writes a result, at the same places.
fn in_place_pairs(
    plan: &Plan,
    uses: &Lifetimes,
    storage: &mut Storage,
) -> Vec<(BufferId, BufferId)> {
    let mut found = Vec::new();
    visit(&plan.steps, &mut |position, step| {
        let (call, contract) = match step {
            Step::Kernel(call) => (call, None),
            Step::Contract(contract) => match &contract.epilogue {
                Some(call) => (call, Some(contract)),
                None => return,
            },
            _ => return,
        };
        // In a loop the parameter is read again in the next iteration.
        if uses.loop_around(position).is_some() {
            return;
        }
        for (read, write) in candidates(plan, call) {
            let (input, output) = (
                storage.root(call.args[read]),
                storage.root(call.args[write]),
            );
            let [x, y] = [input, output].map(|id| &plan.buffers[id.0 as usize]);
            let owned = matches!((&x.place, &y.place), (Place::Input(_), Place::Output));
            let fits = kind(x.dtype, &x.len) == kind(y.dtype, &y.len);
            let dies = storage.touched(input).is_some_and(|t| t.1 == position)
                && storage.touched(output).is_some_and(|t| t.0 == position);
            let safe = owned
                && fits
                && dies
                && match contract {
                    None => safe_call(plan, storage, call, read, write),
                    Some(c) => safe_epilogue(plan, storage, c, call, read, write),
                };
            if safe {
                found.push((input, output));
            }
        }
    });
    found
}
