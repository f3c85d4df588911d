//! How fast `wasmctl serve` answers, beside `wasmtime serve` where there is one: `cargo bench --bench serving`.
//!
//! The same component, the same load generator, the hosts one after the other in rounds, so that a busy machine slows all of
//! them; the table shows medians over the rounds. `wasmtime` is taken from `$WASMTIME` or PATH, once as it comes and once
//! tuned (pooling allocator, 64 KiB kept resident). Arguments: `--rounds N` (3), `--seconds S` (4), `--connections N` (16).
#![allow(clippy::print_stdout, reason = "the table is what this program is for")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const REQUEST: &[u8] = b"GET /bench HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// One way to serve a component.
struct Contender {
    name: &'static str,
    program: PathBuf,
    before: &'static [&'static str],
    address: &'static str,
}

/// What one round has shown.
#[derive(Clone, Copy)]
struct Round {
    per_second: f64,
    p50: f64,
    p99: f64,
    memory: f64,
    first: f64,
}

fn main() {
    let argument = |name: &str, default: u64| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name);
        arguments.nth(1).and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let (rounds, seconds, connections) = (
        argument("--rounds", 3),
        argument("--seconds", 4),
        argument("--connections", 16),
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let contenders = contenders();
    for (name, app) in [
        ("hello (8.6 KiB, hand-written)", "samples/hello/hello.wasm"),
        ("rust-hello (Rust with std)", "samples/rust-hello/rust-hello.wasm"),
    ] {
        let mut results: Vec<Vec<Round>> = contenders.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for (contender, results) in contenders.iter().zip(&mut results) {
                results.push(round(
                    contender,
                    &root.join(app),
                    Duration::from_secs(seconds),
                    connections,
                ));
            }
        }
        println!("\n{name}: {connections} connections, {rounds} rounds of {seconds} s, medians\n");
        println!(
            "| host | requests/s | p50 ms | p99 ms | memory MB | start to first answer ms |\n|---|---|---|---|---|---|"
        );
        for (contender, rounds) in contenders.iter().zip(&results) {
            let median = |value: fn(&Round) -> f64| {
                let mut values: Vec<f64> = rounds.iter().map(value).collect();
                values.sort_by(f64::total_cmp);
                values[values.len() / 2]
            };
            println!(
                "| {} | {:.0} | {:.2} | {:.2} | {:.1} | {:.1} |",
                contender.name,
                median(|round| round.per_second),
                median(|round| round.p50),
                median(|round| round.p99),
                median(|round| round.memory),
                median(|round| round.first),
            );
        }
    }
}

fn contenders() -> Vec<Contender> {
    let mut contenders = vec![
        Contender {
            name: "wasmctl serve",
            program: env!("CARGO_BIN_EXE_wasmctl").into(),
            before: &["serve"],
            address: "--listen",
        },
        Contender {
            name: "wasmctl serve --reuse 1000",
            program: env!("CARGO_BIN_EXE_wasmctl").into(),
            before: &["serve", "--reuse", "1000"],
            address: "--listen",
        },
    ];
    let wasmtime = std::env::var_os("WASMTIME").map(PathBuf::from).or_else(|| {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path)
            .map(|folder| folder.join("wasmtime"))
            .find(|file| file.is_file())
    });
    if let Some(program) = wasmtime {
        contenders.push(Contender {
            name: "wasmtime serve",
            program: program.clone(),
            before: &["serve", "-Scli"],
            address: "--addr",
        });
        contenders.push(Contender {
            name: "wasmtime serve, tuned",
            program,
            before: &[
                "serve",
                "-Scli",
                "-Opooling-allocator=y",
                "-Opooling-memory-keep-resident=65536",
                "-Opooling-table-keep-resident=65536",
            ],
            address: "--addr",
        });
    } else {
        println!("no wasmtime found: set WASMTIME to compare with it");
    }
    contenders
}

fn round(contender: &Contender, app: &Path, time: Duration, connections: u64) -> Round {
    let address = TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a free port");
    let begun = Instant::now();
    let mut child = Command::new(&contender.program)
        .args(contender.before)
        .args([contender.address, &address.to_string()])
        .arg(app)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the host starts");
    let first = first_answer(&mut child, address, begun);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let warm = Instant::now() + Duration::from_millis(300);
    runtime.block_on(load(address, connections, warm));
    let begun = Instant::now();
    let mut times = runtime.block_on(load(address, connections, begun + time));
    let spent = begun.elapsed().as_secs_f64();
    times.sort_unstable();
    let memory = resident_megabytes(child.id());
    let _ = child.kill();
    let _ = child.wait();
    let at = |share: f64| {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        let index = ((times.len() - 1) as f64 * share) as usize;
        times[index].as_secs_f64() * 1_000.0
    };
    #[allow(clippy::cast_precision_loss)]
    let per_second = times.len() as f64 / spent;
    Round {
        per_second,
        p50: at(0.5),
        p99: at(0.99),
        memory,
        first: first.as_secs_f64() * 1_000.0,
    }
}

/// Asks until there is an answer; the time since the process was started.
#[allow(
    clippy::disallowed_methods,
    reason = "between two attempts at an address nobody listens on yet"
)]
fn first_answer(child: &mut Child, address: SocketAddr, begun: Instant) -> Duration {
    let mut answer = [0; 12];
    loop {
        if let Ok(mut stream) = TcpStream::connect(address)
            && stream.write_all(REQUEST).is_ok()
            && stream.read_exact(&mut answer).is_ok()
        {
            assert_eq!(&answer, b"HTTP/1.1 200", "the host answers with something else");
            return begun.elapsed();
        }
        assert!(
            child.try_wait().is_ok_and(|status| status.is_none()),
            "the host has ended; run it by hand to see why"
        );
        assert!(begun.elapsed() < Duration::from_secs(30), "no answer within 30 s");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Keeps all connections busy until the end; the time of each request.
async fn load(address: SocketAddr, connections: u64, end: Instant) -> Vec<Duration> {
    let clients: Vec<_> = (0..connections).map(|_| tokio::spawn(client(address, end))).collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await.expect("no client panics"));
    }
    times
}

async fn client(address: SocketAddr, end: Instant) -> Vec<Duration> {
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("an option every socket has");
    let mut times = Vec::with_capacity(1 << 16);
    let mut buffer = Vec::with_capacity(4_096);
    loop {
        let begun = Instant::now();
        if begun >= end {
            return times;
        }
        stream.write_all(REQUEST).await.expect("the host reads");
        buffer.clear();
        while !complete(&buffer) {
            assert_ne!(
                stream.read_buf(&mut buffer).await.expect("the host answers"),
                0,
                "the host closed the connection"
            );
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200"), "a request failed");
        times.push(begun.elapsed());
    }
}

/// Whether all of an answer is here: by its length, or by the last chunk.
fn complete(answer: &[u8]) -> bool {
    let Some(head) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let body = &answer[head + 4..];
    let text = std::str::from_utf8(&answer[..head]).unwrap_or("").to_ascii_lowercase();
    match text
        .split("\r\n")
        .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok())
    {
        Some(length) => body.len() >= length,
        None => body.ends_with(b"0\r\n\r\n"),
    }
}

/// Resident memory in MB; 0 where there is no `/proc`.
fn resident_megabytes(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let kilobytes = status.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?
            .trim()
            .strip_suffix(" kB")?
            .parse::<f64>()
            .ok()
    });
    kilobytes.unwrap_or(0.0) / 1_000.0
}
