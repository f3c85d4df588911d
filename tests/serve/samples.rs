//! The samples that are checked in as binaries are what their sources say.

use crate::guests::{at, encode};

#[test]
fn hello_is_built_from_its_source() {
    let built = encode("samples/hello/hello.wat", "samples/hello/wit", "hello");
    let path = at("samples/hello/hello.wasm");
    if std::env::var_os("UPDATE_SAMPLES").is_some() {
        std::fs::File::create(&path)
            .and_then(|mut file| std::io::Write::write_all(&mut file, &built))
            .expect("the sample is written");
    }
    let checked_in = std::fs::read(&path).expect("the sample is checked in");
    assert!(
        built == checked_in,
        "samples/hello/hello.wasm is not what hello.wat gives: UPDATE_SAMPLES=1 cargo test --test serve samples"
    );
    assert!(built.len() <= 9 << 10, "{} bytes", built.len());
}
