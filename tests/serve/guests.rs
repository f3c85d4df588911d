//! Guests made from text: core modules with a world of their own, or whole components.

use std::path::{Path, PathBuf};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// A file of this package.
pub(crate) fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Encodes a core module in text with the world in a folder of WIT files.
pub(crate) fn encode(wat: &str, wit: &str, world: &str) -> Vec<u8> {
    let mut module = wat::parse_file(at(wat)).expect("the text parses");
    let mut resolve = wit_parser::Resolve::default();
    let (package, _) = resolve.push_dir(at(wit)).expect("the WIT parses");
    let world = resolve.select_world(&[package], Some(world)).expect("the world exists");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false).expect("metadata fits in");
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true);
    encoder.module(&module).expect("the module fits the world");
    encoder.encode().expect("it encodes")
}

/// Encodes a whole component in text.
pub(crate) fn component(wat: &str) -> Vec<u8> {
    wat::parse_file(at(wat)).expect("the text parses")
}

/// The guest of most tests, written to a file that lives as long as the folder. `version` is a digit it answers with.
pub(crate) fn app(folder: &tempfile::TempDir, version: char) -> PathBuf {
    let path = folder.path().join(format!("app-{version}.wasm"));
    put(&path, &app_bytes(version));
    path
}

/// The bytes of that guest.
pub(crate) fn app_bytes(version: char) -> Vec<u8> {
    let mut bytes = encode("tests/guests/app.wat", "tests/guests/wit", "app");
    let at = bytes
        .windows(5)
        .position(|window| window == b"ok v1")
        .expect("the guest says its version");
    bytes[at + 4] = u8::try_from(version).expect("ASCII");
    bytes
}

/// Writes a file aside and renames it into place.
pub(crate) fn put(path: &Path, bytes: &[u8]) {
    let aside = path.with_extension("new");
    let mut file = std::fs::File::create(&aside).expect("a file in a temporary folder");
    std::io::Write::write_all(&mut file, bytes).expect("it takes the bytes");
    std::fs::rename(&aside, path).expect("a rename in one folder");
}
