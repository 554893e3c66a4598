//! Datasets, loaders and checkpoints through the public interface.

use lazulite::ErrorKind;
use lazulite::data::digits::{CLASSES, Digits};
use lazulite::data::{DataLoader, Dataset, LoaderState, Subset, TensorDataset, random_split};
use lazulite::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Runs `work`, and fails if it takes so long that it must be waiting for itself.
fn ends<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    let result = result.recv_timeout(Duration::from_secs(60));
    result.expect("this neither hangs nor panics")
}

fn numbers(count: usize) -> TensorDataset<Tensor> {
    TensorDataset::new(Tensor::arange(0, count as i64, 1)).unwrap()
}

fn values(loader: &DataLoader<Tensor>) -> Vec<Vec<i64>> {
    let batches = loader.try_iter().map(|b| b?.to_vec::<i64>());
    batches.collect::<Result<_>>().unwrap()
}

/// Fails at one example, in one of two ways.
struct Faulty {
    at: usize,
    panics: bool,
}

impl Dataset for Faulty {
    type Item = (f32, i64);

    fn len(&self) -> usize {
        20
    }

    fn get(&self, index: usize) -> Result<(f32, i64)> {
        if index != self.at {
            return Ok((index as f32, index as i64));
        }
        if self.panics {
            panic!("example {index} is broken");
        }
        Tensor::zeros([2]).matmul(&Tensor::zeros([3])).check()?;
        Ok((0.0, 0))
    }
}

#[test]
fn batches_do_not_depend_on_threads() {
    let run = |workers, prefetch| {
        let data = numbers(23).map(|x| Ok(x * 10 + Tensor::randint(0, 10, ())));
        let loader = DataLoader::new(data).batch_size(4).shuffle(5);
        let loader = loader.workers(workers).prefetch(prefetch);
        (0..3).map(|_| values(&loader)).collect::<Vec<_>>()
    };
    let epochs = run(0, 2);
    for (workers, prefetch) in [(1, 1), (1, 5), (3, 0), (3, 4), (9, 100)] {
        assert_eq!(
            ends(move || run(workers, prefetch)),
            epochs,
            "{workers} {prefetch}"
        );
    }
    assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2]);
    for epoch in epochs {
        assert_eq!((epoch.len(), epoch[5].len()), (6, 3));
        let mut all: Vec<i64> = epoch.concat().iter().map(|x| x / 10).collect();
        all.sort_unstable();
        assert_eq!(all, (0..23).collect::<Vec<i64>>());
    }
}

#[test]
fn sizes_of_batches() {
    let count = |examples, size, drop_last| {
        let loader = DataLoader::new(numbers(examples));
        let loader = loader.batch_size(size).drop_last(drop_last).workers(2);
        assert_eq!(values(&loader).len(), loader.len());
        loader.len()
    };
    assert_eq!((count(10, 4, false), count(10, 4, true)), (3, 2));
    assert_eq!((count(3, 4, false), count(3, 4, true)), (1, 0));
    assert_eq!((count(0, 4, false), count(0, 0, true)), (0, 0));
}

#[test]
fn batches_of_no_examples_are_an_error_of_the_first_batch() {
    for workers in [0, 2] {
        let line = line!() + 1;
        let loader = DataLoader::new(numbers(4)).batch_size(0).workers(workers);
        let mut batches = loader.try_iter();
        let error = batches.next().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Argument, "{error}");
        assert!(error.message().contains("batch size is 0"), "{error}");
        assert_eq!(error.place().unwrap().line(), line, "{error}");
        assert!(batches.next().is_none());
    }
}

#[test]
fn failing_examples_are_errors_and_end_the_iteration() {
    for (panics, workers) in [(false, 0), (false, 2), (true, 0), (true, 3)] {
        ends(move || {
            let data = Faulty { at: 9, panics };
            let loader = DataLoader::new(data).batch_size(4).workers(workers);
            let outcomes: Vec<_> = loader.try_iter().collect();
            assert_eq!(outcomes.len(), 3);
            let error = outcomes[2].as_ref().err().unwrap();
            match panics {
                true => assert_eq!(error.kind(), ErrorKind::Host),
                false => assert_eq!(error.op(), "matmul"),
            }
            let text = error.to_string();
            assert!(text.contains("batch 2 of epoch 0"), "{text}");
            assert!(!panics || text.contains("example 9 is broken"), "{text}");

            let (mut steps, mut failed) = (0, Vec::new());
            for (x, y) in &loader {
                steps += 1;
                failed.extend((x * 2.0).sum(..).check().err());
                failed.extend(y.check().err());
            }
            assert_eq!((steps, failed.len()), (3, 2));
            assert_eq!(failed[0].kind(), error.kind());
        });
    }
}

/// Counts how many batches are made.
struct Counting(Arc<AtomicUsize>);

impl Dataset for Counting {
    type Item = f32;

    fn len(&self) -> usize {
        1000
    }

    fn get(&self, index: usize) -> Result<f32> {
        self.0.fetch_add(1, SeqCst);
        Ok(index as f32)
    }
}

#[test]
fn an_iteration_left_early_stops_its_threads() {
    let made = Arc::new(AtomicUsize::new(0));
    let loader = DataLoader::new(Counting(made.clone()))
        .workers(2)
        .prefetch(3);
    let made = ends(move || {
        assert_eq!(loader.iter().take(5).count(), 5);
        made.load(SeqCst)
    });
    // Those that were taken, and those that may wait.
    assert!((5..=8).contains(&made), "{made}");
}

#[test]
fn a_loader_goes_on_where_another_one_stood() {
    let loader = || {
        DataLoader::new(numbers(10))
            .batch_size(3)
            .shuffle(1)
            .workers(1)
    };
    let (first, second) = (loader(), loader());
    let epochs = [values(&first), values(&first)];
    let mut batches = second.iter();
    drop(batches.by_ref().take(2).collect::<Vec<_>>());
    assert_eq!(second.state(), LoaderState { epoch: 0, batch: 2 });
    let third = loader();
    third.set_state(second.state());
    assert_eq!(values(&third), epochs[0][2..]);
    assert_eq!(third.state(), LoaderState { epoch: 1, batch: 0 });
    assert_eq!(values(&third), epochs[1]);
    // At the end of an epoch, the next one follows.
    assert_eq!(batches.count(), 2);
    third.set_state(second.state());
    assert_eq!(values(&third), epochs[1]);
}

#[test]
fn examples_of_many_forms_are_joined() -> Result<()> {
    let form = |i: i64| {
        let part = Tensor::full([2], i as f64);
        let named = BTreeMap::from([(String::from("id"), i)]);
        (part.clone(), [i as f32, 1.0], vec![part], named)
    };
    let data = numbers(3).map(move |x| Ok(form(x.item::<i64>()?)));
    let loader = DataLoader::new(data).batch_size(3);
    for (tensors, [numbers, ones], list, named) in &loader {
        assert_eq!(tensors.dims()?, [3, 2]);
        assert!(tensors.is_realized());
        assert_eq!(list[0].to_vec::<f32>()?, [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]);
        assert_eq!(numbers.to_vec::<f32>()?, [0.0, 1.0, 2.0]);
        assert_eq!(ones.to_vec::<f32>()?, [1.0; 3]);
        assert_eq!(named["id"].to_vec::<i64>()?, [0, 1, 2]);
    }
    let uneven = numbers(3).map(|x| Ok(Tensor::ones([1 + x.item::<i64>()? as usize])));
    let loader = DataLoader::new(uneven).batch_size(2);
    let error = loader.try_iter().next().unwrap().err().unwrap();
    assert!(error.to_string().contains("example 1 is f32[2]"), "{error}");
    Ok(())
}

#[test]
fn mistakes_with_datasets_say_what_is_wrong() -> Result<()> {
    let wrong = TensorDataset::new((Tensor::zeros([3, 2]), Tensor::zeros([4])));
    let error = wrong.err().unwrap().to_string();
    assert!(error.contains("3 and 4 examples"), "{error}");
    assert!(error.contains("tests/loader.rs"), "{error}");
    assert!(TensorDataset::new(Tensor::zeros(())).is_err());
    assert!(numbers(3).get(3).is_err());
    assert!(Subset::new(numbers(3), [0, 3]).is_err());
    assert!(random_split(numbers(3), [1, 1], 0).is_err());
    assert!(random_split(numbers(3), [usize::MAX, 4], 0).is_err());
    Ok(())
}

#[test]
fn a_split_deals_every_example_once() -> Result<()> {
    let [a, b, none] = random_split(numbers(50), [30, 20, 0], 3)?;
    let all = |part: Subset<_>| values(&DataLoader::new(part).batch_size(50)).concat();
    assert!(none.is_empty());
    let mut both = [all(a), all(b)].concat();
    assert!(!both.is_sorted());
    both.sort_unstable();
    assert_eq!(both, (0..50).collect::<Vec<i64>>());
    Ok(())
}

#[test]
fn digits_are_the_same_for_the_same_seed_and_cover_all_classes() -> Result<()> {
    let (images, labels) = Digits::train(300, 4).tensors()?;
    let (again, _) = Digits::train(300, 4).tensors()?;
    let (others, _) = Digits::test(300, 4).tensors()?;
    assert_eq!(images.dims()?, [300, 1, 28, 28]);
    let pixels = images.to_vec::<f32>()?;
    assert_eq!(pixels, again.to_vec::<f32>()?);
    assert!(pixels.iter().all(|p| (0.0..=1.0).contains(p)));
    let mut counts = [0; CLASSES];
    labels
        .to_vec::<i64>()?
        .iter()
        .for_each(|d| counts[*d as usize] += 1);
    assert!(counts.iter().all(|c| *c > 10), "{counts:?}");
    // No image of the test occurs in training.
    let rows: Vec<&[f32]> = pixels.chunks(784).collect();
    let others = others.to_vec::<f32>()?;
    assert!(others.chunks(784).all(|image| !rows.contains(&image)));
    // Every image shows something.
    assert!(rows.iter().all(|row| row.iter().sum::<f32>() > 10.0));
    Ok(())
}

/// As many examples as there are numbers.
struct Endless;

impl Dataset for Endless {
    type Item = i64;

    fn len(&self) -> usize {
        usize::MAX
    }

    fn get(&self, index: usize) -> lazulite::Result<i64> {
        Ok(index as i64)
    }
}

#[test]
fn orders_that_memory_does_not_hold_are_errors() {
    let mut batches = DataLoader::new(Endless).batch_size(2).try_iter();
    assert_eq!(
        batches.next().unwrap().unwrap().to_vec::<i64>().unwrap(),
        [0, 1]
    );
    for loader in [
        DataLoader::new(Endless).batch_size(2).shuffle(1),
        DataLoader::new(Endless).batch_size(usize::MAX),
    ] {
        let error = loader.try_iter().next().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Memory, "{error}");
    }
    let images = Digits::train(usize::MAX, 0).tensors();
    assert_eq!(images.unwrap_err().kind(), ErrorKind::Memory);
}
