//! Exported functions as object files and static libraries for C programs, with a header.

use super::Exported;
use super::program::unsupported;
use crate::error::{Error, ErrorKind, Result};
use lazulite_codegen::archive::with_member;
use lazulite_codegen::object::{entry_names, object};
use lazulite_runtime::files::replace;
use lazulite_runtime::{Element, Interface, Port};
use rustc_hash::FxHashSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The runtime that objects are linked with, beside them.
const RUNTIME: &str = "liblazulite.a";

fn file(message: String) -> Error {
    Error::new(ErrorKind::File, "export", message)
}

/// Writes `bytes`, whole or not at all.
fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, |out| out.write_all(bytes)).map_err(file)
}

/// The runtime as a static library.
fn runtime() -> Result<&'static [u8]> {
    lazulite_stub::archive().map_err(|why| {
        unsupported(format!("this build cannot write objects: {why}"))
            .hint("LAZULITE_ARCHIVE names an archive that was built before; see docs/aot.md")
    })
}

impl Exported {
    /// Writes an object file for a C compiler's linker, named `NAME.o` or as `path` says, a header `NAME.h`, and the
    /// runtime that both need, `liblazulite.a`, beside it. Gives the files written. The name of the program in C is
    /// that of the file.
    ///
    /// ```no_run
    /// # use lazulite::prelude::*;
    /// let exported = lazulite::export(|[x]| x.relu(), &[lazulite::spec!(f32["n"]).named("x")])?;
    /// exported.build_object("model.o")?; // then: cc main.c model.o liblazulite.a -lm
    /// # Ok::<(), lazulite::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the function cannot be compiled, calls library functions, or a file cannot be written.
    pub fn build_object(&self, path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
        let path = path.as_ref();
        let name = c_name(path)?;
        let runtime = runtime()?;
        let object = self.object(&name)?;
        let (header, beside) = (path.with_extension("h"), path.with_file_name(RUNTIME));
        put(path, &object)?;
        put(&beside, runtime)?;
        put(&header, self.header(&name).as_bytes())?;
        Ok(vec![path.into(), header, beside])
    }

    /// Writes a static library that holds the program and the runtime, and a header beside it. Gives the files
    /// written. The name of the program in C is that of the file, without `lib`.
    ///
    /// # Errors
    /// As for [`Exported::build_object`].
    pub fn build_static_library(&self, path: impl AsRef<Path>) -> Result<Vec<PathBuf>> {
        let path = path.as_ref();
        let name = c_name(path)?;
        let object = self.object(&name)?;
        let merged = with_member(runtime()?, "model.o", &object, &entry_names(&name));
        let header = path.with_file_name(format!("{name}.h"));
        put(path, &merged.map_err(unsupported)?)?;
        put(&header, self.header(&name).as_bytes())?;
        Ok(vec![path.into(), header])
    }

    /// Writes the header alone.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn build_header(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        put(path, self.header(&c_name(path)?).as_bytes())
    }

    fn object(&self, name: &str) -> Result<Vec<u8>> {
        let payload = self.payload()?;
        object(name, &payload).map_err(unsupported)
    }

    /// What C programs include.
    fn header(&self, name: &str) -> String {
        let interface = &self.interface;
        let call = call(name, interface);
        let guard = name.to_ascii_uppercase();
        let (inputs, results) = (
            list(interface, &interface.inputs),
            list(interface, &interface.outputs),
        );
        let sizes = match interface.symbols.is_empty() {
            true => "none".into(),
            false => interface.symbols.join(", "),
        };
        format!(
            "/* {name}: compiled by Lazulite.
 *
 * Link with the object file or static library that this header came with: {name}.o and
 * {RUNTIME}, or lib{name}.a; and with -lm -lpthread -ldl.
 *
 * Open sizes: {sizes}
 * Inputs:
{inputs} * Results:
{results} *
 * Arrays are dense and row-major. Functions that give an int give 0 for success, 1 when the
 * program failed, 2 when it was called wrongly. An open program may be run by several threads.
 */
#ifndef LZL_{guard}_H
#define LZL_{guard}_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern \"C\" {{
#endif

typedef struct lzl_{name} lzl_{name};

/* The program, to run on so many threads (0: one per core); NULL if it cannot be opened. */
lzl_{name} *lzl_{name}_open(unsigned threads);

/* Closes it. */
void lzl_{name}_close(lzl_{name} *program);

/* What went wrong last in this thread. */
const char *lzl_{name}_error(void);

/* How many elements a result has for these values of the open sizes; -1 if they do not fit. */
int64_t lzl_{name}_elements(const lzl_{name} *program, unsigned result, const int64_t *sizes);

/* Runs it: sizes, inputs and results in order. */
int lzl_{name}_run(const lzl_{name} *program, const int64_t *sizes, const void *const *inputs,
                   void *const *results);

/* The same with names and types. */
{call}
#ifdef __cplusplus
}}
#endif

#endif
"
        )
    }
}

/// Names and types in lines of a comment.
fn list(interface: &Interface, ports: &[Port]) -> String {
    ports.iter().fold(String::new(), |mut text, port| {
        let ty = interface.describe(&port.ty);
        // Writing to a string does not fail.
        let _ = writeln!(text, " *   {} {ty}", port.name);
        text
    })
}

/// The function that takes everything by name.
fn call(name: &str, interface: &Interface) -> String {
    let kept = ["program", "sizes", "inputs", "results"];
    let mut taken: FxHashSet<String> = kept.map(str::to_owned).into_iter().collect();
    let mut own = |wanted: &str| {
        let mut name = identifier(wanted);
        while !taken.insert(name.clone()) {
            name.push('_');
        }
        name
    };
    let sizes: Vec<String> = interface.symbols.iter().map(|s| own(s)).collect();
    let inputs: Vec<String> = interface.inputs.iter().map(|p| own(&p.name)).collect();
    let results: Vec<String> = interface.outputs.iter().map(|p| own(&p.name)).collect();
    let mut parameters = vec![format!("const lzl_{name} *program")];
    parameters.extend(sizes.iter().map(|s| format!("int64_t {s}")));
    let typed = |ports: &[Port], names: &[String], constant: &str| -> Vec<String> {
        let both = ports.iter().zip(names);
        both.map(|(p, n)| format!("{constant}{} *{n}", c_type(p.ty.element)))
            .collect()
    };
    parameters.extend(typed(&interface.inputs, &inputs, "const "));
    parameters.extend(typed(&interface.outputs, &results, ""));
    // C has no arrays of nothing.
    let array = |names: &[String]| match names.is_empty() {
        true => "0".to_string(),
        false => names.join(", "),
    };
    format!(
        "static inline int lzl_{name}_call({})
{{
    const int64_t sizes[] = {{{}}};
    const void *const inputs[] = {{{}}};
    void *const results[] = {{{}}};
    return lzl_{name}_run(program, sizes, inputs, results);
}}
",
        parameters.join(", "),
        array(&sizes),
        array(&inputs),
        array(&results),
    )
}

/// The C type of elements; what C has none for is named by its size, complex numbers by their parts.
fn c_type(element: Element) -> &'static str {
    match element {
        Element::Bool | Element::U8 => "uint8_t",
        Element::U16 | Element::F16 | Element::BF16 => "uint16_t",
        Element::U32 => "uint32_t",
        Element::U64 => "uint64_t",
        Element::I8 => "int8_t",
        Element::I16 => "int16_t",
        Element::I32 => "int32_t",
        Element::I64 => "int64_t",
        Element::F32 | Element::C64 => "float",
        Element::F64 | Element::C128 => "double",
    }
}

/// Words that C and C++ keep for themselves, as far as somebody may want to call a tensor so.
const KEPT: [&str; 24] = [
    "auto", "bool", "break", "case", "char", "class", "const", "default", "delete", "do", "double",
    "else", "float", "for", "if", "int", "long", "new", "private", "return", "short", "this",
    "union", "void",
];

/// A name as C takes it.
fn identifier(name: &str) -> String {
    let part = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let mut own: String = name.chars().map(part).collect();
    if own.starts_with(|c: char| c.is_ascii_digit()) || own.is_empty() {
        own.insert(0, '_');
    }
    if KEPT.contains(&own.as_str()) {
        own.push('_');
    }
    own
}

/// What the program is called in C: the file's name without its extension, and `lib` of libraries.
fn c_name(path: &Path) -> Result<String> {
    let stem = path.file_stem().and_then(|s| s.to_str());
    let stem = stem.ok_or_else(|| file(format!("{}: a file name is needed", path.display())))?;
    let is_library = path.extension().is_some_and(|e| e == "a");
    let stem = if is_library {
        stem.strip_prefix("lib").unwrap_or(stem)
    } else {
        stem
    };
    Ok(identifier(stem))
}
