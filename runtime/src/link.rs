//! Linking: an image and its code become a [`Program`].
//!
//! Everything in an image that does not depend on sizes is checked here, and what does when sizes are bound.
//! After both, nothing that the runtime does by itself reaches outside of a buffer, whoever made
//! the image; code is trusted to do what its [`crate::KernelSpec`] says.

use crate::bind::Bindings;
use crate::check::check;
use crate::custom::{Foreign, HostFn};
use crate::foreign::{Library, library};
use crate::kernels::Level;
use crate::{Image, KernelFn, LoadError, Place};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// A compiled program, ready to run, on as many threads at once as one likes.
pub struct Program {
    pub(crate) image: Image,
    pub(crate) code: Vec<KernelFn>,
    /// Host functions, then library functions.
    pub(crate) foreign: Vec<Foreign>,
    pub(crate) linked: Linked,
    pub(crate) bindings: Bindings,
    pub(crate) level: Level,
    footprint: usize,
    /// Owns the memory that the code lies in.
    _keep_alive: Arc<dyn Any + Send + Sync>,
}

impl Program {
    /// Makes a program of an image, the code of its kernels, its host functions, and whatever owns the code.
    ///
    /// # Safety
    /// `code[i]` does what `image.kernels[i]` says: called with the pointers, sizes and bounds that the
    /// spec describes it touches only elements of its buffers and its scratch, writes only
    /// to parameters declared so, and does not unwind. It stays valid while `keep_alive` lives.
    ///
    /// # Errors
    /// When the image is not consistent in itself or with the tables.
    pub unsafe fn new(
        image: Image,
        code: Vec<KernelFn>,
        hosts: Vec<Arc<HostFn>>,
        keep_alive: Arc<dyn Any + Send + Sync>,
    ) -> Result<Program, LoadError> {
        let (kernels, entries) = (image.kernels.len(), code.len());
        if kernels != entries {
            return Err(LoadError::Code {
                kernels,
                code: entries,
            });
        }
        let mut foreign = hosts.into_iter().map(Foreign::Host).collect();
        let linked = check(&image, &mut foreign)?;
        Ok(Program {
            footprint: image.footprint(),
            image,
            code,
            foreign,
            linked,
            bindings: Bindings::default(),
            level: Level::best(),
            _keep_alive: keep_alive,
        })
    }

    /// A program whose kernels run elsewhere, by whoever holds it: it has no code of its own, and calling
    /// its kernels here does nothing.
    ///
    /// # Errors
    /// When the image is not consistent in itself.
    #[cfg(feature = "cuda")]
    pub(crate) fn without_code(
        image: Image,
        hosts: Vec<Arc<HostFn>>,
    ) -> Result<Program, LoadError> {
        unsafe extern "C" fn nothing(
            _: *const *mut u8,
            _: *const i64,
            _: *const i64,
            _: *const crate::Status,
        ) {
        }
        let code = vec![nothing as KernelFn; image.kernels.len()];
        // SAFETY: code that does nothing touches nothing.
        unsafe { Program::new(image, code, hosts, Arc::new(())) }
    }

    /// The same program with hand-written kernels of at most this level.
    pub fn limited_to(mut self, level: Level) -> Program {
        self.level = level.min(Level::best());
        self
    }

    /// True if running it calls functions of the process around it, which may do anything.
    pub fn calls_host(&self) -> bool {
        self.foreign.iter().any(|f| matches!(f, Foreign::Host(_)))
    }

    /// The same program, whose code is known to take so many bytes.
    pub fn with_code_bytes(mut self, bytes: usize) -> Program {
        self.footprint = self.footprint.saturating_add(bytes);
        self
    }

    /// About how many bytes of memory the program holds while it does not run, with its code if that
    /// was stated.
    pub fn footprint(&self) -> usize {
        self.footprint
    }

    /// What the program was made of.
    pub fn image(&self) -> &Image {
        &self.image
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("image", &self.image)
            .finish_non_exhaustive()
    }
}

/// What an image means beyond its own numbers, for any sizes.
pub(crate) struct Linked {
    /// Where each buffer lies.
    pub located: Vec<Located>,
    /// The buffers that own memory ("roots"), by slot.
    pub roots: Vec<u32>,
    /// Lifetimes of the roots' memory: of every buffer placed in it and every one exchanged with it.
    pub live: Vec<(u32, u32)>,
    /// Positions of loop ids in the run's table of iterations.
    pub loops: FxHashMap<u32, u32>,
    /// Positions of library functions among the foreign ones.
    pub library: FxHashMap<String, u32>,
    /// Donations that cannot lose the old value when a run fails: parameter and slot.
    pub donations: Vec<(u32, u32)>,
}

/// Where a buffer lies.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    /// Slot of the buffer that owns the memory.
    pub slot: u32,
    /// The [`Place::LoopSlice`] buffers between it and this one.
    pub slices: SmallVec<[u32; 2]>,
}

/// Slices inside of each other at most.
const MAX_SLICES: usize = 64;

/// Follows aliases and slices to the buffers that own memory; gives their numbers too.
pub(crate) fn locate(image: &Image) -> Result<(Vec<Located>, Vec<u32>), LoadError> {
    let count = image.buffers.len();
    let mut located: Vec<Option<Located>> = vec![None; count];
    let mut roots = Vec::new();
    let mut path = Vec::new();
    for start in 0..count as u32 {
        let mut at = start;
        let mut found = loop {
            let Some(buffer) = image.buffers.get(at as usize) else {
                return Err(number("buffer", at, count));
            };
            if let Some(found) = &located[at as usize] {
                break found.clone();
            }
            match &buffer.place {
                Place::Alias(of) | Place::LoopSlice { of, .. } => {
                    path.push(at);
                    at = *of;
                }
                Place::Input(_) | Place::Output | Place::Arena => {
                    let root = Located {
                        slot: roots.len() as u32,
                        slices: SmallVec::new(),
                    };
                    roots.push(at);
                    located[at as usize] = Some(root.clone());
                    break root;
                }
            }
            if path.len() > count {
                let problem = "lies in itself";
                return Err(LoadError::Buffer {
                    buffer: at,
                    problem,
                });
            }
        };
        while let Some(buffer) = path.pop() {
            if let Place::LoopSlice { .. } = image.buffers[buffer as usize].place {
                found.slices.push(buffer);
            }
            if found.slices.len() > MAX_SLICES {
                let problem = "lies in too many slices";
                return Err(LoadError::Buffer { buffer, problem });
            }
            located[buffer as usize] = Some(found.clone());
        }
    }
    // Every buffer was a start, so none is left out.
    Ok((located.into_iter().flatten().collect(), roots))
}

/// Finds a library function, and its position among the foreign ones, where it is entered the first time.
pub(crate) fn link_library(
    name: &str,
    linked: &mut FxHashMap<String, u32>,
    foreign: &mut Vec<Foreign>,
) -> Result<Library, LoadError> {
    let function = library(name).ok_or_else(|| LoadError::Library(name.to_owned()))?;
    linked.entry(name.to_owned()).or_insert_with(|| {
        foreign.push(Foreign::Library(function));
        foreign.len() as u32 - 1
    });
    Ok(function)
}

/// The error for a number that is not below `count`.
pub(crate) fn number(what: &'static str, number: u32, count: usize) -> LoadError {
    LoadError::Number {
        what,
        number,
        count,
    }
}
