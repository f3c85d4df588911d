//! The one place that takes machine code from a file.
#![allow(unsafe_code, reason = "loading precompiled code is unsafe by nature; see `load`")]

use std::path::Path;
use wasmtime::Engine;
use wasmtime::component::Component;

/// Maps a precompiled component.
///
/// wasmtime checks its own version, the settings and the target of the file, but it must trust the machine code inside.
pub(super) fn load(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the caller, `Cache`, hands out only paths inside a folder that it has checked to be ours and writable by
    // nobody else, and files there are put in place by rename and never changed afterwards. So the bytes are what
    // `Component::serialize` of this program produced, and the mapping stays as it is.
    unsafe { Component::deserialize_file(engine, path) }
}
