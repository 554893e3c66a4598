//! Libraries that may not be there.

use super::CudaError;
use libloading::Library;
use std::path::Path;

/// A library to look for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// What it is called in messages.
    pub name: &'static str,
    /// Names of its file, the best one first.
    pub files: &'static [&'static str],
    /// What to install where it is missing or too old.
    pub hint: &'static str,
}

/// A loaded library.
#[derive(Debug)]
pub struct CudaLibrary {
    library: Library,
    /// The name under which it was found.
    file: String,
    wanted: Wanted,
}

impl CudaLibrary {
    /// Loads a library from `path` or, without one, from where the system finds it.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub fn open(wanted: Wanted, path: Option<&Path>) -> Result<CudaLibrary, CudaError> {
        let given = path.map(|p| p.display().to_string());
        let names: Vec<String> = match given {
            Some(path) => vec![path],
            None => wanted.files.iter().map(|f| (*f).to_owned()).collect(),
        };
        let mut reason = String::new();
        for file in &names {
            // SAFETY: these libraries' initialisers prepare nothing but themselves. Whoever names a path vouches for
            // what is there.
            match unsafe { Library::new(file) } {
                Ok(library) => {
                    return Ok(CudaLibrary {
                        library,
                        file: file.clone(),
                        wanted,
                    });
                }
                Err(e) => reason = e.to_string(),
            }
        }
        Err(CudaError::Missing {
            library: wanted.name,
            tried: names,
            reason,
            hint: wanted.hint,
        })
    }

    /// The name under which it was found.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// A function of the library.
    ///
    /// # Safety
    /// `F` is the type of the function of this name. It must not be called when the library is gone.
    ///
    /// # Errors
    /// When there is no such function.
    pub unsafe fn function<F: Copy>(&self, symbol: &'static str) -> Result<F, CudaError> {
        // SAFETY: the caller's promise.
        let found = unsafe { self.library.get::<F>(symbol.as_bytes()) };
        found.map(|f| *f).map_err(|_| CudaError::Symbol {
            library: self.file.clone(),
            symbol,
            hint: self.wanted.hint,
        })
    }
}
