//! What the machine can do at most, measured, and how near workloads come to it.
//!
//! Three limits: multiplications and additions of f32 per second, kept in registers; bytes read from memory per second;
//! bytes moved per second, half of them read and half written past the caches. Every limit is the best of several
//! rounds, a workload's figure the median of its repetitions, on as many threads as are asked for.

use crate::core::line;
use crate::run;
use std::error::Error;
use std::time::Instant;

/// Bytes that no cache holds.
const LARGE: usize = 256 << 20;
/// Rounds of which the best counts.
const ROUNDS: usize = 7;
/// Multiplications and additions in a round, per register.
const STEPS: usize = 20_000_000;

/// Which limit a workload meets, and how much of it a repetition takes at least.
enum Work {
    /// Multiplications and additions.
    Flops(f64),
    /// Bytes read; what is written is little.
    Read(f64),
    /// Bytes read and written.
    Moved(f64),
}

/// The workloads that come near a limit, and what part of it they are to reach.
fn workloads() -> Vec<(String, Work, &'static str)> {
    let product = |m: usize, k: usize, n: usize| format!("matmul_{m}x{k}x{n}");
    let cubes = [256, 512, 1024, 2048].map(|n| {
        let flops = 2.0 * (n as f64).powi(3);
        (product(n, n, n), Work::Flops(flops), ">= 92 %")
    });
    let matrix = 4096.0 * 4096.0 * 4.0;
    let sums = ["rows", "cols", "all"].map(|axis| {
        let name = format!("sumsq_{axis}");
        (name, Work::Read(matrix), ">= 90 %")
    });
    let million = 4.0 * (1 << 20) as f64;
    let others = [
        (product(1, 4096, 4096), Work::Read(matrix), ">= 85 %"),
        (
            "gelu_16m".into(),
            Work::Moved(3.0 * 16.0 * million),
            ">= 85 %",
        ),
        (
            "chain20_4m".into(),
            Work::Moved(2.0 * 4.0 * million),
            ">= 90 %",
        ),
        (
            "softmax_4096x1024".into(),
            Work::Moved(2.0 * 4.0 * million),
            "",
        ),
    ];
    cubes.into_iter().chain(sums).chain(others).collect()
}

/// Measures the limits and prints them, then what workloads reach.
pub fn run(args: &[&str]) -> Result<(), Box<dyn Error>> {
    let threads = run::asked_threads(args)?;
    let part = LARGE / threads;
    let mut buffers: Vec<[Buffer; 2]> = (0..threads).map(|_| [part; 2].map(buffer)).collect();
    let flops = best(&mut buffers, |_| machine::multiply_add());
    let read = best(&mut buffers, |[from, _]| {
        std::hint::black_box(machine::read(from));
        part as f64
    });
    let moved = best(&mut buffers, |[from, to]| {
        machine::copy(from, to);
        2.0 * part as f64
    });
    drop(buffers);
    let giga = |x: f64, unit: &str| format!("{:.1} G{unit}/s", x / 1e9);
    line(
        "multiplications and additions, f32",
        giga(flops, "flop"),
        "",
    );
    line("reading memory", giga(read, "B"), "");
    line("reading and writing memory", giga(moved, "B"), "");
    for (name, work, limit) in workloads() {
        let seconds = run::median_of(&name, threads)?;
        let (done, most, unit) = match work {
            Work::Flops(done) => (done, flops, "flop"),
            Work::Read(done) => (done, read, "B"),
            Work::Moved(done) => (done, moved, "B"),
        };
        let reached = done / seconds;
        let part = format!("{}, {:.0} %", giga(reached, unit), 100.0 * reached / most);
        line(&name, part, limit);
    }
    Ok(())
}

/// The most that threads do per second together, one with each of the buffers.
fn best(buffers: &mut [[Buffer; 2]], work: impl Fn(&mut [Buffer; 2]) -> f64 + Sync) -> f64 {
    let mut round = || {
        let start = Instant::now();
        let done: f64 = std::thread::scope(|scope| {
            let work = &work;
            let start = |b| scope.spawn(move || work(b));
            let threads: Vec<_> = buffers.iter_mut().map(start).collect();
            threads.into_iter().map(|t| t.join().unwrap_or(0.0)).sum()
        });
        done / start.elapsed().as_secs_f64()
    };
    (0..ROUNDS).map(|_| round()).fold(0.0, f64::max)
}

/// Numbers in lines of a cache, in pages as large as the system has.
type Buffer = Vec<Line>;

/// A line of a cache.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([f32; 16]);

fn buffer(bytes: usize) -> Buffer {
    let lines = bytes / size_of::<Line>();
    let mut buffer = Vec::with_capacity(lines);
    #[cfg(target_os = "linux")]
    // SAFETY: the memory is the buffer's own; the advice changes nothing that is in it. Where it is refused, pages
    // are small, and the limit is measured too low.
    unsafe {
        let page = 4096;
        let begin = (buffer.as_mut_ptr() as usize).next_multiple_of(page);
        libc::madvise(
            begin as *mut libc::c_void,
            bytes - page,
            libc::MADV_HUGEPAGE,
        );
    }
    buffer.resize(lines, Line([1.0; 16]));
    buffer
}

/// The sum of all numbers, in so many sums that reading takes the time.
#[inline(always)]
fn sum(buffer: &Buffer) -> f32 {
    let mut sums = [[0.0f32; 16]; 8];
    for lines in buffer.chunks_exact(8) {
        for (sums, line) in sums.iter_mut().zip(lines) {
            sums.iter_mut().zip(line.0).for_each(|(sum, x)| *sum += x);
        }
    }
    sums.iter().flatten().sum()
}

#[cfg(target_arch = "x86_64")]
mod machine {
    use super::{Buffer, Line, STEPS, sum};
    use std::arch::x86_64::*;

    /// Reads all numbers.
    pub fn read(buffer: &Buffer) -> f32 {
        match is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has the instructions.
            true => unsafe { read_512(buffer) },
            false => sum(buffer),
        }
    }

    #[target_feature(enable = "avx512f")]
    fn read_512(buffer: &Buffer) -> f32 {
        sum(buffer)
    }

    /// Copies past the caches.
    pub fn copy(from: &Buffer, to: &mut Buffer) {
        for (to, from) in to.iter_mut().zip(from) {
            let (to, from): (*mut Line, *const Line) = (to, from);
            for part in 0..4 {
                // SAFETY: a line has four parts of 16 bytes, aligned; every x86-64 has the instructions.
                unsafe {
                    let x = _mm_load_ps(from.cast::<f32>().add(4 * part));
                    _mm_stream_ps(to.cast::<f32>().add(4 * part), x);
                }
            }
        }
        // SAFETY: as above. Others see what went past the caches.
        unsafe { _mm_sfence() };
    }

    /// Multiplies and adds in registers; gives how many operations that were.
    pub fn multiply_add() -> f64 {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has the instructions.
            unsafe { multiply_add_512() };
            return (STEPS * 12 * 16 * 2) as f64;
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the processor has the instructions.
            unsafe { multiply_add_256() };
            return (STEPS * 12 * 8 * 2) as f64;
        }
        super::plain::multiply_add()
    }

    #[target_feature(enable = "avx512f")]
    fn multiply_add_512() {
        let (a, b) = (_mm512_set1_ps(0.999), _mm512_set1_ps(1e-3));
        let mut sums = [b; 12];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, a, b);
            }
        }
        let all = sums.into_iter().fold(b, |all, sum| _mm512_add_ps(all, sum));
        std::hint::black_box(_mm512_reduce_add_ps(all));
    }

    #[target_feature(enable = "avx2,fma")]
    fn multiply_add_256() {
        let (a, b) = (_mm256_set1_ps(0.999), _mm256_set1_ps(1e-3));
        let mut sums = [b; 12];
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, a, b);
            }
        }
        let all = sums.into_iter().fold(b, |all, sum| _mm256_add_ps(all, sum));
        std::hint::black_box(_mm256_cvtss_f32(all));
    }
}

#[cfg(not(target_arch = "x86_64"))]
use plain as machine;

/// For machines of which nothing is known.
#[cfg_attr(target_arch = "x86_64", allow(dead_code))]
mod plain {
    pub fn read(buffer: &Buffer) -> f32 {
        super::sum(buffer)
    }
    use super::{Buffer, STEPS};

    pub fn copy(from: &Buffer, to: &mut Buffer) {
        to.copy_from_slice(from);
    }

    pub fn multiply_add() -> f64 {
        let mut sums = [[1e-3f32; 4]; 12];
        for _ in 0..STEPS {
            sums.iter_mut()
                .flatten()
                .for_each(|sum| *sum = *sum * 0.999 + 1e-3);
        }
        std::hint::black_box(sums);
        (STEPS * 12 * 4 * 2) as f64
    }
}
