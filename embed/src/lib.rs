//! The C interface of compiled programs: what object files written by `lazulite build --emit obj` are linked
//! with. `lazulite-stub` builds this crate as a static library and holds its bytes.
//!
//! A program is opened from its payload, run on arrays in the caller's memory, and closed. Functions give 0 for
//! success, 1 when the program failed, 2 when it was called wrongly; [`lazulite_error`] says why. Opened programs
//! may be run by several threads at a time.

use lazulite_runtime::kernels::Level;
use lazulite_runtime::{
    Array, Buffer, Element, Model, ModelError, Payload, Pool, RunError, Signature,
};
use std::cell::RefCell;
use std::ffi::{CString, c_char, c_int, c_uint, c_void};

/// A program that is ready to run.
pub struct LazuliteModel {
    model: Model,
    pool: Pool,
}

/// It went well.
pub const SUCCESS: c_int = 0;
/// The program failed.
pub const FAILED: c_int = 1;
/// It was called wrongly, or is damaged.
pub const MISUSED: c_int = 2;

thread_local! {
    static ERROR: RefCell<CString> = RefCell::default();
}

/// Keeps why a call failed for who asks.
fn complain(message: &str) {
    let text = CString::new(message.replace('\0', " ")).unwrap_or_default();
    ERROR.with(|error| *error.borrow_mut() = text);
}

/// What went wrong last in this thread: text that stays until the next call in it.
#[unsafe(no_mangle)]
pub extern "C" fn lazulite_error() -> *const c_char {
    ERROR.with(|error| error.borrow().as_ptr())
}

/// Opens the program in a payload, to run on so many threads (0: one per core). Gives null if it cannot be
/// opened.
///
/// # Safety
/// `payload` points to `len` bytes that stay as they are for as long as the process runs, as object files hold
/// them; they were written by this version of Lazulite and not altered on purpose.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lazulite_open(
    payload: *const u8,
    len: usize,
    threads: c_uint,
) -> *mut LazuliteModel {
    let open = || -> Result<LazuliteModel, String> {
        // SAFETY: the caller's promise.
        let bytes = unsafe { std::slice::from_raw_parts(payload, len) };
        let buffer = Buffer::from_static(bytes).map_err(|e| e.to_string())?;
        // SAFETY: the caller's promise.
        let payload = unsafe { Payload::load(buffer, Level::best()) };
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads as usize,
        };
        Ok(LazuliteModel {
            model: payload.map_err(|e| e.to_string())?.model,
            pool: Pool::new(threads).map_err(|e| e.to_string())?,
        })
    };
    if payload.is_null() {
        complain("there is no payload");
        return std::ptr::null_mut();
    }
    match open() {
        Ok(model) => Box::into_raw(Box::new(model)),
        Err(message) => {
            complain(&message);
            std::ptr::null_mut()
        }
    }
}

/// Closes a program; null is none.
///
/// # Safety
/// `model` came from [`lazulite_open`], is not closed yet, and nobody runs it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lazulite_close(model: *mut LazuliteModel) {
    if !model.is_null() {
        // SAFETY: the caller's promise.
        drop(unsafe { Box::from_raw(model) });
    }
}

/// How many elements a result has when open sizes have these values; -1 if there is no such result, or sizes
/// do not fit.
///
/// # Safety
/// `model` is open; `sizes` points to as many numbers as the program has open sizes, in order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lazulite_elements(
    model: *const LazuliteModel,
    result: c_uint,
    sizes: *const i64,
) -> i64 {
    // SAFETY: the caller's promise.
    let (model, sizes) = unsafe { (&(*model).model, numbers(model, sizes)) };
    let port = model.interface().outputs.get(result as usize);
    let count = port.ok_or_else(|| format!("there is no result {result}"));
    match count.and_then(|port| Ok(shape(&port.ty, &sizes?)?.iter().product::<usize>())) {
        Ok(count) => count as i64,
        Err(message) => {
            complain(&message);
            -1
        }
    }
}

/// Runs a program: reads every input from memory that `inputs` points to and writes every result to memory that
/// `results` points to, dense and row-major. If it fails nothing is written.
///
/// # Safety
/// `model` is open; `sizes` points to as many numbers as it has open sizes, `inputs` and `results` to as many pointers
/// as it has inputs and results, each to as many elements as these sizes say; memory of results overlaps with no other.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lazulite_run(
    model: *const LazuliteModel,
    sizes: *const i64,
    inputs: *const *const c_void,
    results: *const *mut c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    match unsafe { run(model, sizes, inputs, results) } {
        Ok(()) => SUCCESS,
        Err((code, message)) => {
            complain(&message);
            code
        }
    }
}

/// # Safety
/// As for [`lazulite_run`].
unsafe fn run(
    model: *const LazuliteModel,
    sizes: *const i64,
    inputs: *const *const c_void,
    results: *const *mut c_void,
) -> Result<(), (c_int, String)> {
    let misused = |message: String| (MISUSED, message);
    // SAFETY: the caller's promise, here and below.
    let LazuliteModel { model, pool } = unsafe { &*model };
    let interface = model.interface();
    // SAFETY: as above.
    let sizes = unsafe { numbers_of(model, sizes) }.map_err(misused)?;
    let mut arrays = Vec::with_capacity(interface.inputs.len());
    for (i, port) in interface.inputs.iter().enumerate() {
        let dims = shape(&port.ty, &sizes).map_err(misused)?;
        let bytes = byte_count(port.ty.element, &dims).map_err(misused)?;
        let data = match bytes {
            0 => Buffer::empty(),
            _ => {
                // SAFETY: as above.
                let data = unsafe { *inputs.add(i) }.cast::<u8>();
                if data.is_null() {
                    return Err(misused(format!("input {} is null", port.name)));
                }
                // SAFETY: as above.
                let data = unsafe { std::slice::from_raw_parts(data, bytes) };
                Buffer::from_bytes(data).map_err(|e| (FAILED, e.to_string()))?
            }
        };
        arrays.push(Array {
            element: port.ty.element,
            dims,
            data,
        });
    }
    let named = interface.symbols.iter().cloned();
    let named: Vec<(String, i64)> = named.zip(sizes).collect();
    let (found, _) = model.run(&arrays, &named, pool).map_err(|e| match e {
        ModelError::Argument(e) => misused(e.to_string()),
        ModelError::Run(e @ RunError::Guard { .. }) => misused(e.to_string()),
        ModelError::Run(e) => (FAILED, e.to_string()),
    })?;
    for (i, (array, port)) in found.iter().zip(&interface.outputs).enumerate() {
        // SAFETY: as above.
        let to = unsafe { *results.add(i) }.cast::<u8>();
        if to.is_null() && !array.data.is_empty() {
            return Err(misused(format!("result {} is null", port.name)));
        }
    }
    for (i, array) in found.iter().enumerate().filter(|(_, a)| !a.data.is_empty()) {
        let bytes = array.data.as_bytes();
        // SAFETY: as above; results are new buffers, so nothing overlaps.
        unsafe {
            let to = (*results.add(i)).cast::<u8>();
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
    }
    Ok(())
}

/// # Safety
/// As for [`lazulite_elements`].
unsafe fn numbers(model: *const LazuliteModel, sizes: *const i64) -> Result<Vec<i64>, String> {
    // SAFETY: the caller's promise.
    unsafe { numbers_of(&(*model).model, sizes) }
}

/// The values of open sizes, none below zero.
///
/// # Safety
/// `sizes` points to as many numbers as the model has open sizes.
unsafe fn numbers_of(model: &Model, sizes: *const i64) -> Result<Vec<i64>, String> {
    let names = &model.interface().symbols;
    if names.is_empty() {
        return Ok(Vec::new());
    }
    if sizes.is_null() {
        return Err(format!("the sizes {} need values", names.join(", ")));
    }
    // SAFETY: the caller's promise.
    let sizes = unsafe { std::slice::from_raw_parts(sizes, names.len()) };
    match names.iter().zip(sizes).find(|(_, size)| **size < 0) {
        Some((name, size)) => Err(format!("the size {name} is {size}")),
        None => Ok(sizes.to_vec()),
    }
}

fn shape(ty: &Signature, sizes: &[i64]) -> Result<Vec<usize>, String> {
    let dims = ty.dims.iter().map(|dim| {
        let size = dim.eval(sizes).map_err(|e| e.to_string())?;
        usize::try_from(size).map_err(|_| format!("a size is {size}"))
    });
    let dims: Vec<usize> = dims.collect::<Result<_, String>>()?;
    byte_count(ty.element, &dims)?;
    Ok(dims)
}

fn byte_count(element: Element, dims: &[usize]) -> Result<usize, String> {
    let mut dims_of_size = dims.iter();
    let bytes = dims_of_size.try_fold(element.bytes(), |n, d| n.checked_mul(*d));
    bytes.ok_or_else(|| format!("dims {dims:?} are too large"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_payload_is_refused_with_a_message() {
        static BYTES: [u8; 4096] = [7; 4096];
        // SAFETY: the bytes are no program, so no code of theirs is run.
        let models = unsafe {
            [
                lazulite_open(BYTES.as_ptr(), BYTES.len(), 1),
                lazulite_open(std::ptr::null(), 0, 1),
            ]
        };
        assert!(models.iter().all(|m| m.is_null()));
        // SAFETY: the message stays until the next call.
        let message = unsafe { std::ffi::CStr::from_ptr(lazulite_error()) };
        assert_eq!(message.to_str(), Ok("there is no payload"));
        // SAFETY: null is no program.
        unsafe { lazulite_close(std::ptr::null_mut()) };
    }
}
