//! Guests that loop for ever, and the neighbours who do not notice.

use crate::guests::app;
use crate::server::{SLACK, Server, eventually};
use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tempfile::tempdir;

/// Starts requests that loop and keeps their connections open.
fn loopers(server: &Server, count: usize) -> Vec<TcpStream> {
    (0..count)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream.write_all(b"GET /l HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
            stream
        })
        .collect()
}

#[test]
fn neighbours_of_twenty_loopers_are_answered_and_sigterm_ends_it() {
    let folder = tempdir().unwrap();
    let mut server = Server::start(&app(&folder, '1'), &["--timeout", "60s", "--drain", "1s"]);
    let held = loopers(&server, 20);
    // All of them are in, and have used up what a short guest may.
    let settled = Instant::now();
    eventually("the loopers to settle in", || {
        settled.elapsed() > Duration::from_millis(500)
    });
    let mut times: Vec<Duration> = (0..100)
        .map(|_| {
            let since = Instant::now();
            assert_eq!(server.get("/").body, "ok v1\n");
            since.elapsed()
        })
        .collect();
    times.sort();
    eprintln!(
        "with 20 loopers: median {:?}, p90 {:?}, worst {:?}",
        times[50], times[90], times[99]
    );
    assert!(times[90] < Duration::from_millis(100), "{times:?}");
    assert!(times[99] < Duration::from_millis(100) * SLACK, "{times:?}");

    server.signal("TERM");
    let (status, took) = server.wait();
    assert_eq!(status.code(), Some(0), "{}", server.stderr());
    assert!(took >= Duration::from_millis(900), "it gave them their time: {took:?}");
    assert!(
        took < Duration::from_secs(1) + Duration::from_millis(200) * SLACK,
        "{took:?}"
    );
    drop(held);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = tempdir().unwrap();
    let mut server = Server::start(&app(&folder, '1'), &["--timeout", "60s", "--drain", "60s"]);
    let held = loopers(&server, 2);
    let settled = Instant::now();
    eventually("the loopers to settle in", || {
        settled.elapsed() > Duration::from_millis(200)
    });
    server.signal("INT");
    server.says("a second signal stops at once");
    server.signal("TERM");
    let (status, took) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_millis(200) * SLACK, "{took:?}");
    drop(held);
}

#[test]
fn draining_finishes_what_is_in_flight() {
    let folder = tempdir().unwrap();
    let mut server = Server::start(&app(&folder, '1'), &[]);
    let address = server.address();
    let slow = std::thread::spawn(move || {
        crate::server::send(&address, b"GET /s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap()
    });
    // The request is in flight once a connection of its own has been answered after it began.
    let settled = Instant::now();
    eventually("the request to begin", || {
        settled.elapsed() > Duration::from_millis(100)
    });
    server.signal("TERM");
    assert_eq!(slow.join().unwrap().body, "ok v1\n");
    let (status, took) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(1) * SLACK, "{took:?}");
    assert!(
        TcpStream::connect(server.address()).is_err(),
        "nothing listens any more"
    );
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    let folder = tempdir().unwrap();
    let mut server = Server::start(&app(&folder, '1'), &["--drain", "20s"]);
    // One that never sent anything, and one that is kept alive after its first answer.
    let silent = TcpStream::connect(server.address()).unwrap();
    let mut kept = TcpStream::connect(server.address()).unwrap();
    kept.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
    let mut answer = [0; 15];
    std::io::Read::read_exact(&mut kept, &mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    server.signal("TERM");
    let (status, took) = server.wait();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(1) * SLACK, "{took:?}");
    drop((silent, kept));
}

#[test]
fn a_client_that_goes_away_takes_its_guest_along() {
    let folder = tempdir().unwrap();
    let server = Server::start(&app(&folder, '1'), &["--timeout", "60s", "--max-concurrent", "3"]);
    let held = loopers(&server, 3);
    eventually("the limit to be reached", || server.get("/").status == 503);
    let reply = server.get("/");
    assert!(reply.head.contains("retry-after: 1"), "{}", reply.head);
    drop(held);
    eventually("their places to be free", || server.get("/").status == 200);
}

#[test]
fn the_cpu_limit_holds() {
    let folder = tempdir().unwrap();
    let server = Server::start(&app(&folder, '1'), &["--timeout", "60s", "--cpus", "0.2"]);
    let held = loopers(&server, 4);
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
        let fields: Vec<i64> = stat
            .rsplit_once(')')
            .unwrap()
            .1
            .split_whitespace()
            .filter_map(|field| field.parse().ok())
            .collect();
        // utime and stime, of which the letter of the state has been left out.
        u64::try_from(fields[10] + fields[11]).unwrap()
    };
    let (before, since) = (ticks(), Instant::now());
    eventually("two seconds", || since.elapsed() > Duration::from_secs(2));
    let used = Duration::from_millis((ticks() - before) * 10).as_secs_f64() / since.elapsed().as_secs_f64();
    assert!((0.1..0.35).contains(&used), "{used} CPUs");
    drop(held);
}
