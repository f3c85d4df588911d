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
