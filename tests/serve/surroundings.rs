//! What a guest sees of the world: variables, folders, the key-value store, other hosts, its own output.

use crate::guests::{app, at};
use crate::server::{Server, wasmctl};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use tempfile::tempdir;

#[test]
fn configuration_and_output() {
    let folder = tempdir().unwrap();
    let server = Server::start(
        &app(&folder, '1'),
        &["--config", "greeting=good morning", "--config", "other=x"],
    );
    assert_eq!(server.get("/c").body, "good morning");
    assert_eq!(server.get("/p").body, "ok v1\n");
    server.says("app-1 stdout | a line from the guest\n");
    let bare = Server::start(&app(&folder, '1'), &[]);
    assert_eq!(bare.get("/c").body, "no value\n");
}

#[test]
fn every_flag_has_a_variable() {
    let folder = tempdir().unwrap();
    let mut command = wasmctl();
    command
        .arg("serve")
        .arg(app(&folder, '1'))
        .env("WASMCTL_SERVE_LISTEN", "127.0.0.1:0")
        .env("WASMCTL_SERVE_CONFIG", "greeting=from a variable\nother=x")
        .env("WASMCTL_SERVE_TIMEOUT", "300ms");
    let server = Server::spawn(command);
    assert_eq!(server.get("/c").body, "from a variable");
    assert_eq!(server.get("/l").body, "the application did not answer within 300ms\n");
}

#[test]
fn folders_are_shared_and_may_be_read_only() {
    let folder = tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    crate::guests::put(&data.join("note.txt"), b"from the host\n");
    let share = format!("{}::/data", data.display());
    let rust = at("samples/rust-hello/rust-hello.wasm");
    let writer = Server::start(&rust, &["--dir", &share, "--env", "WASMCTL_PRIMITIVE=instance"]);
    let reader = Server::start(&rust, &["--dir", &format!("{share}:ro")]);
    assert_eq!(writer.get("/").body, "Hello from Rust!\nprimitive: instance\npath: /\n");
    assert_eq!(writer.get("/file/note.txt").body, "from the host\n");
    assert_eq!(writer.get("/write/new.txt/shared").body, "wrote 6 bytes to new.txt\n");
    assert_eq!(reader.get("/file/new.txt").body, "shared");
    assert_eq!(reader.get("/write/new.txt/changed").status, 403);
    assert_eq!(std::fs::read_to_string(data.join("new.txt")).unwrap(), "shared");
    assert_eq!(
        reader.get("/file/../../etc/hostname").status,
        404,
        "a preopened folder is not a way out"
    );
}

#[test]
fn the_store_outlives_instances_and_the_process() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("store.redb");
    let arguments = ["--keyvalue", file.to_str().unwrap()];
    let mut server = Server::start(&app(&folder, '1'), &arguments);
    assert_eq!(server.get("/k").body, "1\n");
    assert_eq!(server.get("/k").body, "2\n");
    // Counted by many at once, each is counted once.
    let address = server.address();
    let counters: Vec<_> = (0..8)
        .map(|_| {
            let address = address.clone();
            std::thread::spawn(move || {
                for _ in 0..10 {
                    let reply =
                        crate::server::send(&address, b"GET /k HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                            .unwrap();
                    assert_eq!(reply.status, 200, "{reply:?}");
                }
            })
        })
        .collect();
    for counter in counters {
        counter.join().unwrap();
    }
    assert_eq!(server.get("/k").body, "83\n");
    // What was answered is on disk, however the process ends.
    server.signal("KILL");
    server.wait();
    let server = Server::start(&app(&folder, '1'), &arguments);
    assert_eq!(server.get("/k").body, "84\n");
    let other = wasmctl()
        .arg("serve")
        .arg(app(&folder, '1'))
        .args(["--listen", "127.0.0.1:0"])
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&other.stderr).contains("another process has it open"),
        "{other:?}"
    );
    drop(server);
    // Without a file it lives as long as the process.
    let server = Server::start(&app(&folder, '1'), &[]);
    assert_eq!(
        (server.get("/k").body, server.get("/k").body),
        ("1\n".into(), "2\n".into())
    );
}

#[test]
fn requests_to_other_hosts_need_permission() {
    let folder = tempdir().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = other.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in other.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let path = format!("/o{place}");
    let closed = Server::start(&app(&folder, '1'), &["--allow-host", "example.com"]);
    let refusal = closed.get(&path);
    let entry = format!("--allow-host {place}");
    assert!(refusal.body.contains(&entry), "the error names the entry: {refusal:?}");
    closed.says(&entry);
    let open = Server::start(&app(&folder, '1'), &["--allow-host", &place]);
    assert_eq!(open.get(&path).body, "418\n");
    // Nobody listens on port 1: the guest gets `connection-refused`, case 6 of error-code.
    let open = Server::start(&app(&folder, '1'), &["--allow-host", "127.0.0.1"]);
    assert_eq!(open.get("/o127.0.0.1:1").body, "1006\n");
}
