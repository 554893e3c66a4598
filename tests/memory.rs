//! Training takes no more memory the longer it runs. Counts the bytes that are allocated in the whole process, so it is
//! alone in its file.

use lazulite::data::{DataLoader, TensorDataset};
use lazulite::nn::{BatchNorm1d, Dropout, Layer, Linear, Module, Relu, Sequential};
use lazulite::optim::{AdamW, CosineAnnealingLr, Optimizer, Schedule};
use lazulite::prelude::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering::Relaxed};

/// Counts live bytes.
struct Counting;

static LIVE: AtomicIsize = AtomicIsize::new(0);

fn count(before: usize, after: usize) {
    // Sizes are at most isize::MAX.
    LIVE.fetch_add(after as isize - before as isize, Relaxed);
}

// SAFETY: all calls go to the system's allocator as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(0, layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(layout.size(), 0);
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), size);
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs epochs of 8 steps.
fn train(
    model: &Sequential,
    optimizer: &mut dyn Optimizer,
    loader: &DataLoader<(Tensor, Tensor)>,
    epochs: u64,
) -> Result<()> {
    let schedule = CosineAnnealingLr {
        period: 100,
        low: 0.0,
    };
    for epoch in 0..epochs {
        schedule.step(optimizer, &[1e-2], epoch)?;
        for (x, y) in loader {
            let loss = model.forward(&x).cross_entropy(&y);
            optimizer.step(&loss)?;
            loss.item::<f32>()?;
        }
    }
    Ok(())
}

#[test]
fn memory_is_flat_over_hundreds_of_steps() -> Result<()> {
    let model = Sequential::new()
        .with(Linear::new(20, 64))
        .with(BatchNorm1d::new(64))
        .with(Relu)
        .with(Dropout::new(0.1))
        .with(Linear::new(64, 5));
    let mut optimizer = AdamW::new(model.parameters(), 1e-2);
    let data = TensorDataset::new((Tensor::randn([122, 20]), Tensor::randint(0, 5, [122])))?;
    let loader = DataLoader::new(data).batch_size(16).shuffle(1).workers(1);
    train(&model, &mut optimizer, &loader, 10)?;
    let before = LIVE.load(Relaxed);
    train(&model, &mut optimizer, &loader, 50)?;
    let grown = LIVE.load(Relaxed) - before;
    // A step makes tens of nodes and several buffers: anything that is kept shows.
    assert!(grown < 64 << 10, "{grown} bytes more after 400 steps");
    Ok(())
}
