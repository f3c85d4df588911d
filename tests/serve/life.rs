//! The life of a host: cold starts, new versions, its guardian, TLS, and machines where it is cramped.

use crate::guests::{app, app_bytes, at, put};
use crate::server::{PATIENCE, Server, eventually, send, wasmctl};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::tempdir;

#[test]
fn new_versions_are_taken_over_without_a_failed_request() {
    let folder = tempdir().unwrap();
    let current = folder.path().join("current.wasm");
    put(&current, &app_bytes('1'));
    let server = Server::start(&current, &["--watch"]);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (address, stop) = (server.address(), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut answers = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let reply = send(&address, b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                        .expect("no request fails");
                    assert_eq!(reply.status, 200, "{reply:?}");
                    if answers.last() != Some(&reply.body) {
                        answers.push(reply.body);
                    }
                }
                answers
            })
        })
        .collect();
    // A request that began on the old version ends on it.
    let address = server.address();
    let slow = std::thread::spawn(move || {
        send(&address, b"GET /s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap()
    });
    put(&current, &app_bytes('2'));
    eventually("version 2", || server.get("/").body == "ok v2\n");
    assert!(matches!(slow.join().unwrap().body.as_str(), "ok v1\n" | "ok v2\n"));
    put(&current, b"this is no component");
    server.says("the old version goes on, because the new one cannot be served");
    assert_eq!(server.get("/").body, "ok v2\n");
    std::fs::remove_file(&current).unwrap();
    // Also through a symbolic link.
    put(&folder.path().join("three.wasm"), &app_bytes('3'));
    std::os::unix::fs::symlink("three.wasm", &current).unwrap();
    eventually("version 3", || server.get("/").body == "ok v3\n");
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        let answers = client.join().unwrap();
        let versions = ["ok v1\n", "ok v2\n", "ok v3\n"];
        assert!(
            versions.starts_with(&answers.iter().map(String::as_str).collect::<Vec<_>>()),
            "never back: {answers:?}"
        );
    }
}

#[test]
fn compiled_code_is_kept_and_mended() {
    let folder = tempdir().unwrap();
    let cache = folder.path().join("cache");
    let arguments = ["--cache", cache.to_str().unwrap()];
    let rust = at("samples/rust-hello/rust-hello.wasm");
    let entries = || {
        let mut files: Vec<_> = std::fs::read_dir(&cache)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "cwasm"));
        files
    };
    drop(Server::start(&rust, &arguments));
    assert_eq!(entries().len(), 1);
    assert_eq!(std::fs::metadata(&cache).unwrap().permissions().mode() & 0o777, 0o700);
    let written = || std::fs::metadata(&entries()[0]).unwrap().modified().unwrap();
    let first = written();
    drop(Server::start(&rust, &arguments));
    assert_eq!(written(), first, "the second start compiles nothing");
    // One flipped bit in the middle of the code.
    let mut code = std::fs::read(&entries()[0]).unwrap();
    let middle = code.len() / 2;
    code[middle] ^= 1;
    put(&entries()[0], &code);
    let server = Server::start(&rust, &arguments);
    server.says("is damaged and made again: its checksum differs");
    assert_eq!(server.get("/").status, 200);
    code.truncate(100);
    put(&entries()[0], &code);
    assert_eq!(Server::start(&rust, &arguments).get("/").status, 200);

    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o777)).unwrap();
    let output = wasmctl().arg("serve").arg(&rust).args(arguments).output().unwrap();
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("others may write into it"),
        "{output:?}"
    );
}

#[test]
fn a_guardian_hands_over_the_socket_and_hears_what_happens() {
    let folder = tempdir().unwrap();
    let current = folder.path().join("current.wasm");
    put(&current, &app_bytes('1'));
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut child = wasmctl()
        .arg("serve")
        .arg(&current)
        .args(["--listen-fd0", "--control-fd1", "--watch", "--idle", "100ms"])
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(Stdio::from(OwnedFd::from(theirs)))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut events = BufReader::new(ours).lines().map(|line| line.expect("an event in time"));
    assert_eq!(events.next().as_deref(), Some("ready"));
    let get = || send(&address, b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(get().body, "ok v1\n");
    assert_eq!(events.next().as_deref(), Some("idle"));
    assert_eq!(events.next().as_deref(), Some("idle"), "and again after the same time");
    put(&current, &app_bytes('2'));
    let swapped = events.find(|event| event != "idle").unwrap();
    assert!(swapped.starts_with("swapped ") && swapped.len() == 8 + 64, "{swapped}");
    assert_eq!(get().body, "ok v2\n");
    // The guardian dies.
    drop(events);
    let mut status = None;
    eventually("the orphan to end", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(0));
}

#[test]
fn tls() {
    let folder = tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    put(&certificate, made.cert.pem().as_bytes());
    put(&key, made.signing_key.serialize_pem().as_bytes());
    let arguments = [
        "--tls-cert",
        certificate.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
    ];
    let server = Server::start(&app(&folder, '1'), &arguments);
    assert!(server.url.starts_with("https://"), "{}", server.url);
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let connection = rustls::ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    let mut stream = rustls::StreamOwned::new(connection, TcpStream::connect(server.address()).unwrap());
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = Vec::new();
    let _ = std::io::Read::read_to_end(&mut stream, &mut answer);
    assert_eq!(crate::server::parse(&answer).unwrap().body, "ok v1\n");

    let wrong = wasmctl()
        .arg("serve")
        .arg(app(&folder, '1'))
        .args(["--tls-cert", key.to_str().unwrap(), "--tls-key", key.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(
        String::from_utf8_lossy(&wrong.stderr).contains("it holds no certificate"),
        "{wrong:?}"
    );
    let half = wasmctl()
        .args(["serve", "x.wasm", "--tls-key", "k.pem"])
        .output()
        .unwrap();
    assert_eq!(half.status.code(), Some(2));
}

#[test]
fn a_small_address_space_means_allocation_on_demand() {
    let folder = tempdir().unwrap();
    let mut command = std::process::Command::new("sh");
    command
        .env_clear()
        .args([
            "-c",
            "ulimit -v 2000000; exec \"$@\"",
            "sh",
            env!("CARGO_BIN_EXE_wasmctl"),
            "serve",
            "--listen",
            "127.0.0.1:0",
        ])
        .arg(app(&folder, '1'));
    let server = Server::spawn(command);
    server.says("instances are allocated on demand");
    assert_eq!(server.get("/").body, "ok v1\n");
    assert_eq!(server.get("/t").status, 500);
    assert_eq!(server.get("/").body, "ok v1\n");
}

#[test]
fn instances_may_be_used_again() {
    let folder = tempdir().unwrap();
    let server = Server::start(&app(&folder, '1'), &["--reuse", "50"]);
    for _ in 0..120 {
        assert_eq!(server.get("/").body, "ok v1\n");
    }
    // One that has trapped never answers again.
    assert_eq!(server.get("/t").status, 500);
    assert_eq!(server.get("/").body, "ok v1\n");
}
