//! Sums over products by equation, as `ij,jk->ik`.
//!
//! Labels that occur twice in one operand mean its diagonal, `...` any further axes that broadcast.
//! Operands are contracted in pairs, those first whose product is smallest.

use super::composite::{attempt, bad_argument, bad_shape};
use super::matmul::contract_axes;
use crate::error::{Error, Result};
use crate::tensor::Tensor;
use std::fmt;

/// An axis: a letter, or number n of those behind `...`, counted from the last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Label {
    Letter(char),
    Rest(usize),
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Label::Letter(c) => write!(f, "`{c}`"),
            Label::Rest(n) => write!(f, "axis {n} (from the last) of `...`"),
        }
    }
}

#[derive(Clone)]
struct Operand {
    tensor: Tensor,
    labels: Vec<Label>,
}

impl Tensor {
    /// Sums products of elements as the equation says.
    ///
    /// ```
    /// use lazulite::prelude::*;
    /// let (a, b) = (Tensor::ones([5, 2, 3]), Tensor::ones([5, 3, 4]));
    /// assert_eq!(Tensor::einsum("bij,bjk->bik", &[&a, &b]).dims()?, [5, 2, 4]);
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    #[track_caller]
    pub fn einsum(equation: &str, tensors: &[&Tensor]) -> Tensor {
        attempt(|| {
            let equation: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
            let (inputs, output) = match equation.split_once("->") {
                Some((inputs, output)) => (inputs, Some(output)),
                None => (equation.as_str(), None),
            };
            let terms: Vec<&str> = inputs.split(',').collect();
            if terms.len() != tensors.len() {
                let (terms, tensors) = (terms.len(), tensors.len());
                return Err(mistake(format!("{terms} terms for {tensors} tensors")));
            }
            let pairs = terms.iter().zip(tensors);
            let operands = pairs
                .map(|(term, t)| operand(term, t))
                .collect::<Result<Vec<_>>>()?;
            let output = match output {
                Some(output) => {
                    let rest = operands.iter().map(rest_count).max().unwrap_or(0);
                    labels_of(output, |_| Ok(rest))?
                }
                None => implicit_output(inputs, &operands),
            };
            check_output(&output, &operands)?;
            let operands = without_broadcast(operands)?;
            finish(reduce_pairs(operands, &output)?, &output)
        })
    }
}

fn mistake(message: String) -> Error {
    bad_argument("einsum", message)
}

/// The labels of a term; `rest` says how many axes its `...` has, given its count of letters.
fn labels_of(term: &str, rest: impl Fn(usize) -> Result<usize>) -> Result<Vec<Label>> {
    let letters = term.chars().filter(char::is_ascii_alphabetic).count();
    let mut labels = Vec::new();
    let mut tail = term;
    while let Some(c) = tail.chars().next() {
        if let Some(after) = tail.strip_prefix("...") {
            if after.contains('.') {
                return Err(mistake(format!("`{term}` has more than one `...`")));
            }
            labels.extend((0..rest(letters)?).rev().map(Label::Rest));
            tail = after;
        } else if c.is_ascii_alphabetic() {
            labels.push(Label::Letter(c));
            tail = &tail[1..];
        } else {
            return Err(mistake(format!("`{c}` in `{term}` is no letter")));
        }
    }
    Ok(labels)
}

/// An operand with its diagonals taken, so that every label occurs once.
#[track_caller]
fn operand(term: &str, tensor: &Tensor) -> Result<Operand> {
    let rank = tensor.rank()?;
    let misfit = || {
        let error = bad_shape(
            "einsum",
            format!("the term `{term}` does not fit {rank} axes"),
        );
        error.operand(tensor.note("operand"))
    };
    let mut labels = labels_of(term, |letters| rank.checked_sub(letters).ok_or_else(misfit))?;
    if labels.len() != rank {
        return Err(misfit());
    }
    let mut tensor = tensor.clone();
    let twice = |labels: &[Label]| {
        let places = labels.iter().enumerate();
        places
            .filter_map(|(i, l)| Some((i, i + 1 + labels[i + 1..].iter().position(|m| m == l)?)))
            .next()
    };
    while let Some((a, b)) = twice(&labels) {
        if tensor.known_size(a)? != tensor.known_size(b)? {
            return Err(misfit());
        }
        tensor = tensor.diagonal_with(0, a as i64, b as i64);
        let label = labels[a];
        labels.remove(b);
        labels.remove(a);
        labels.push(label);
    }
    Ok(Operand { tensor, labels })
}

fn rest_count(operand: &Operand) -> usize {
    let is_rest = |l: &&Label| matches!(l, Label::Rest(_));
    operand.labels.iter().filter(is_rest).count()
}

/// Without an arrow: first what `...` stands for, then the letters that occur once, in order.
fn implicit_output(inputs: &str, operands: &[Operand]) -> Vec<Label> {
    let rest = operands.iter().map(rest_count).max().unwrap_or(0);
    let once = |c: &char| inputs.matches(*c).count() == 1;
    let mut letters: Vec<char> = inputs
        .chars()
        .filter(char::is_ascii_alphabetic)
        .filter(once)
        .collect();
    letters.sort_unstable();
    let letters = letters.into_iter().map(Label::Letter);
    (0..rest).rev().map(Label::Rest).chain(letters).collect()
}

fn check_output(output: &[Label], operands: &[Operand]) -> Result<()> {
    for (i, label) in output.iter().enumerate() {
        if output[..i].contains(label) {
            return Err(mistake(format!("{label} occurs twice in the result")));
        }
        if !operands.iter().any(|o| o.labels.contains(label)) {
            return Err(mistake(format!("{label} of the result occurs in no term")));
        }
    }
    Ok(())
}

/// Axes of size 1 that others have larger are dropped: they only repeat.
#[track_caller]
fn without_broadcast(mut operands: Vec<Operand>) -> Result<Vec<Operand>> {
    let mut sizes: Vec<(Label, usize)> = Vec::new();
    for operand in &operands {
        for (label, size) in operand.labels.iter().zip(operand.tensor.known_dims()?) {
            match sizes.iter_mut().find(|(l, _)| l == label) {
                Some((_, known)) if *known == 1 => *known = size,
                Some((_, known)) if size != 1 && *known != size => {
                    let message = format!("{label} has sizes {known} and {size}");
                    return Err(
                        bad_shape("einsum", message).operand(operand.tensor.note("operand"))
                    );
                }
                Some(_) => {}
                None => sizes.push((*label, size)),
            }
        }
    }
    for operand in &mut operands {
        for i in (0..operand.labels.len()).rev() {
            let known = sizes
                .iter()
                .find(|(l, _)| *l == operand.labels[i])
                .map(|(_, s)| *s);
            if operand.tensor.known_size(i)? == 1 && known != Some(1) {
                operand.tensor = operand.tensor.squeeze(i as i64);
                operand.labels.remove(i);
            }
        }
    }
    Ok(operands)
}

#[track_caller]
fn reduce_pairs(mut operands: Vec<Operand>, output: &[Label]) -> Result<Operand> {
    while operands.len() > 1 {
        let mut best: Option<(usize, usize, usize)> = None;
        for i in 0..operands.len() {
            for j in i + 1..operands.len() {
                let size = product_size(&operands, i, j, output)?;
                if best.is_none_or(|(_, _, least)| size < least) {
                    best = Some((i, j, size));
                }
            }
        }
        let Some((i, j, _)) = best else { break };
        let right = operands.remove(j);
        let left = operands.remove(i);
        let product = multiply(&left, &right, &operands, output)?;
        operands.push(product);
    }
    operands
        .pop()
        .ok_or_else(|| mistake("there are no tensors".into()))
}

/// Whether a label is still wanted after two operands are multiplied.
fn wanted(label: Label, others: &[Operand], output: &[Label]) -> bool {
    output.contains(&label) || others.iter().any(|o| o.labels.contains(&label))
}

fn product_size(operands: &[Operand], i: usize, j: usize, output: &[Label]) -> Result<usize> {
    let others: Vec<Operand> = operands
        .iter()
        .enumerate()
        .filter(|(k, _)| *k != i && *k != j)
        .map(|(_, o)| o.clone())
        .collect();
    let mut size = 1usize;
    let (left, right) = (&operands[i], &operands[j]);
    for (label, extent) in left.labels.iter().zip(left.tensor.known_dims()?) {
        if wanted(*label, &others, output) {
            size = size.saturating_mul(extent);
        }
    }
    for (label, extent) in right.labels.iter().zip(right.tensor.known_dims()?) {
        if wanted(*label, &others, output) && !left.labels.contains(label) {
            size = size.saturating_mul(extent);
        }
    }
    Ok(size)
}

#[track_caller]
fn multiply(
    left: &Operand,
    right: &Operand,
    others: &[Operand],
    output: &[Label],
) -> Result<Operand> {
    let keep = |label: &Label| wanted(*label, others, output);
    // What only one side has and nobody wants is summed before.
    let left = summed(left, |l| keep(l) || right.labels.contains(l));
    let right = summed(right, |l| keep(l) || left.labels.contains(l));
    let (mut batch, mut sum) = (Vec::new(), Vec::new());
    for (a, label) in left.labels.iter().enumerate() {
        if let Some(b) = right.labels.iter().position(|l| l == label) {
            let pairs = if keep(label) { &mut batch } else { &mut sum };
            pairs.push((a as u32, b as u32));
        }
    }
    let tensor = contract_axes("einsum", &left.tensor, &right.tensor, &batch, &sum)?;
    let mut labels: Vec<Label> = batch
        .iter()
        .map(|(a, _)| left.labels[*a as usize])
        .collect();
    let shared = |l: &&Label| left.labels.contains(l) && right.labels.contains(l);
    labels.extend(left.labels.iter().filter(|l| !shared(l)));
    labels.extend(right.labels.iter().filter(|l| !shared(l)));
    Ok(Operand { tensor, labels })
}

#[track_caller]
fn summed(operand: &Operand, keep: impl Fn(&Label) -> bool) -> Operand {
    let places = operand.labels.iter().enumerate();
    let over: Vec<i64> = places
        .filter(|(_, l)| !keep(l))
        .map(|(i, _)| i as i64)
        .collect();
    if over.is_empty() {
        return operand.clone();
    }
    // Sums of narrow integers stay of their type here.
    let tensor = match operand.tensor.dtype() {
        Ok(dtype) => operand.tensor.sum(over).cast(dtype),
        Err(e) => Tensor::error(e),
    };
    let labels = operand.labels.iter().copied().filter(|l| keep(l)).collect();
    Operand { tensor, labels }
}

/// Sums what is left over and brings the axes into order.
#[track_caller]
fn finish(operand: Operand, output: &[Label]) -> Result<Tensor> {
    let operand = summed(&operand, |l| output.contains(l));
    let place = |label: &Label| operand.labels.iter().position(|l| l == label);
    let perm: Option<Vec<i64>> = output.iter().map(|l| Some(place(l)? as i64)).collect();
    let perm = perm.ok_or_else(|| mistake("a label of the result was lost".into()))?;
    Ok(operand.tensor.permute(perm))
}
