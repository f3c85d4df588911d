//! What a client gets: answers, and what becomes of a guest that gives none.

use crate::guests::{app, at, component, put};
use crate::server::{Server, send, wasmctl};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use tempfile::tempdir;

#[test]
fn hello_answers_with_its_environment() {
    let server = Server::start(
        &at("samples/hello/hello.wasm"),
        &["--env", "WASMCTL_PRIMITIVE=function"],
    );
    let reply = server.get("/some/where?x=1");
    assert_eq!(reply.status, 200);
    assert_eq!(
        reply.body,
        "Hello, wasmctl!\nprimitive: function\npath: /some/where?x=1\n"
    );
    assert!(
        reply.head.contains(&format!("content-length: {}", reply.body.len())),
        "{}",
        reply.head
    );
}

#[test]
fn failures_become_answers_with_a_body() {
    let folder = tempdir().unwrap();
    let server = Server::start(&app(&folder, '1'), &["--timeout", "400ms", "--max-memory", "4MiB"]);
    let trap = server.get("/t");
    assert_eq!(
        (trap.status, trap.body.as_str()),
        (
            500,
            "the application failed: wasm trap: wasm `unreachable` instruction executed\n"
        )
    );
    let silent = server.get("/n");
    assert_eq!(
        (silent.status, silent.body.as_str()),
        (500, "the application returned without an answer\n")
    );
    let endless = server.get("/l");
    assert_eq!(
        (endless.status, endless.body.as_str()),
        (504, "the application did not answer within 400ms\n")
    );
    let asleep = server.get("/w");
    assert_eq!(asleep.status, 504);
    let hungry = server.get("/g");
    assert_eq!(hungry.status, 500);
    assert!(
        hungry
            .body
            .contains("after the guest had reached its memory limit of 4MiB"),
        "{}",
        hungry.body
    );
    // And it is as well as before.
    assert_eq!(server.get("/").body, "ok v1\n");
    server.says("GET /t: the application failed");
}

#[test]
fn an_answer_in_pieces_is_streamed() {
    let folder = tempdir().unwrap();
    let server = Server::start(&app(&folder, '1'), &[]);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream
        .write_all(b"GET /f HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 1024];
    while !seen.windows(6).any(|window| window == b"first\n") {
        let count = stream.read(&mut buffer).unwrap();
        assert_ne!(count, 0);
        seen.extend_from_slice(&buffer[..count]);
    }
    assert!(
        !seen.windows(6).any(|window| window == b"second"),
        "the first piece does not wait for the second"
    );
    stream.read_to_end(&mut seen).unwrap();
    let reply = crate::server::parse(&seen).unwrap();
    assert!(reply.complete);
    assert_eq!(reply.body, "first\nsecond\n");
}

#[test]
fn a_trap_after_the_head_cuts_the_answer() {
    let folder = tempdir().unwrap();
    let server = Server::start(&app(&folder, '1'), &["--timeout", "500ms"]);
    let reply = server.get("/h");
    assert_eq!(
        (reply.status, reply.body.as_str(), reply.complete),
        (200, "first\n", false),
        "never taken for a whole answer"
    );
    server.says("after the answer had begun");
    // A guest that goes on after its answer does not hold it back, and ends with its time.
    let reply = server.get("/x");
    assert_eq!((reply.status, reply.complete), (200, true));
}

#[test]
fn request_bodies_arrive_whole_and_are_limited() {
    let folder = tempdir().unwrap();
    let server = Server::start(&app(&folder, '1'), &["--max-body", "64KiB"]);
    let body: String = "0123456789abcdef".repeat(4_000);
    let reply = server.post("/e", body.as_bytes());
    assert_eq!(reply.status, 200);
    assert!(reply.body == body, "{} bytes came back", reply.body.len());
    assert_eq!(server.post("/e", &vec![b'x'; 70_000]).status, 413);
    // Without a length in advance it is found out while reading.
    let mut request =
        b"POST /e HTTP/1.1\r\nHost: test\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..9 {
        request.extend_from_slice(b"2000\r\n");
        request.extend_from_slice(&[b'y'; 0x2000]);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    let reply = send(&server.address(), &request).unwrap();
    assert!(
        reply.status == 413 || !reply.complete,
        "{}, and {} bytes that look whole",
        reply.status,
        reply.body.len()
    );
}

#[test]
fn odd_requests_are_answered() {
    let server = Server::start(&at("samples/hello/hello.wasm"), &[]);
    assert_eq!(server.send("GET / HTTP/1.0\r\n\r\n").status, 200);
    assert_eq!(server.send("GET / HTTP/1.1\r\nConnection: close\r\n\r\n").status, 400);
    assert_eq!(
        server
            .send("GET / HTTP/1.1\r\nHost: \u{e9}\r\nConnection: close\r\n\r\n")
            .status,
        400
    );
    assert_eq!(
        server
            .send("HEAD / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            .body,
        ""
    );
    // What is not HTTP at all gets at most a 400, and harms nobody.
    let nonsense = send(&server.address(), b"nonsense\r\n\r\n");
    assert!(nonsense.is_err() || nonsense.is_ok_and(|reply| reply.status == 400));
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn memory_is_summed_over_all_memories() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("two.wasm");
    put(&path, &component("tests/guests/two-memories.wat"));
    // Each memory grows to 3 MiB: under the limit by itself.
    let server = Server::start(&path, &["--max-memory", "4MiB"]);
    assert!(server.get("/").body.contains("memory limit of 4MiB"));
    let server = Server::start(&path, &["--max-memory", "8MiB"]);
    assert_eq!(server.get("/").body, "the application returned without an answer\n");
}

#[test]
fn what_cannot_be_served_is_refused_with_a_way_out() {
    let folder = tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        put(&path, bytes);
        path
    };
    let truncated = &std::fs::read(at("samples/hello/hello.wasm")).unwrap()[..5_000];
    let bystander = crate::guests::encode("tests/guests/bystander.wat", "tests/guests/wit", "bystander");
    let cases: [(std::path::PathBuf, &[&str], &str); 12] = [
        (folder.path().join("missing.wasm"), &[], "cannot read"),
        (file("empty.wasm", b""), &[], "it is empty"),
        (
            file("text.wasm", b"hello there, this is text"),
            &[],
            "it is text and starts with \"hello there",
        ),
        (
            file("wat.wasm", b"(component)"),
            &[],
            "it is the text format; encode it with `wasm-tools parse`",
        ),
        (
            file("garbage.wasm", &[0xff, 0xfe, 0x80, 0x81, 0x99]),
            &[],
            "instead of \\0asm",
        ),
        (
            file("core.wasm", &wat::parse_str("(module)").unwrap()),
            &[],
            "wasm-tools component new",
        ),
        (file("truncated.wasm", truncated), &[], "is not a valid component"),
        (
            file("bystander.wasm", &bystander),
            &[],
            "does not export wasi:http/incoming-handler@0.2, so it cannot answer HTTP requests (it exports: run)",
        ),
        (
            file("bigmem.wasm", &component("tests/guests/bigmem.wat")),
            &["--max-memory", "64MiB"],
            "needs 128MiB of memory to start, but --max-memory is 64MiB",
        ),
        (
            file("start-trap.wasm", &component("tests/guests/start-trap.wat")),
            &[],
            "cannot be started: wasm trap",
        ),
        (
            at("samples/hello/hello.wasm"),
            &["--dir", "/nowhere/at/all::/data"],
            "--dir /nowhere/at/all:",
        ),
        (
            at("samples/hello/hello.wasm"),
            &["--listen", "256.0.0.1:80"],
            "cannot listen on 256.0.0.1:80",
        ),
    ];
    for (path, arguments, expected) in cases {
        let mut command = wasmctl();
        command.arg("serve").arg(&path);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        let output = command.args(arguments).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{}: {stderr}", path.display());
        assert!(
            stderr.contains(expected) && stderr.starts_with("error[serve]"),
            "{} should say {expected:?}: {stderr}",
            path.display()
        );
        assert!(output.stdout.is_empty());
    }
    let usage = wasmctl()
        .args(["serve", "--timeout", "soon", "x.wasm"])
        .output()
        .unwrap();
    assert_eq!(usage.status.code(), Some(2));
}

#[test]
fn inspect_tells_what_a_component_needs() {
    let folder = tempdir().unwrap();
    let path = app(&folder, '1');
    let output = wasmctl().arg("inspect").arg(&path).arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["is_http"], true);
    assert_eq!(
        found["needs"],
        serde_json::json!(["wasi:config", "wasi:http/outgoing-handler", "wasi:keyvalue"])
    );
    let spin = found["hosts"]
        .as_array()
        .unwrap()
        .iter()
        .find(|host| host["host"] == "Spin")
        .unwrap();
    assert_eq!(spin["runs"], false, "its keyvalue is another draft");
    let core = folder.path().join("core.wasm");
    put(&core, &wat::parse_str("(module)").unwrap());
    let output = wasmctl().arg("inspect").arg(&core).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("wasm-tools component new"));
}
