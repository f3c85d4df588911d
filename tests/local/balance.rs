//! The balancer alone, over targets that do as they are told.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wasmctl::balance::{Balancer, Config, Group, Health, Limits};

use super::targets::{Got, Target, client, get, send, tally};
use super::world::until;

fn group(name: &str, weight: u32, targets: &[&Target]) -> Group {
    Group {
        name: name.to_owned(),
        weight,
        targets: targets.iter().map(|target| target.address.to_string()).collect(),
        health: None,
    }
}

fn config(groups: Vec<Group>) -> Config {
    Config {
        groups,
        limits: Limits {
            drain_ms: 1_000,
            ..Limits::default()
        },
        access_log: None,
    }
}

fn start(config: &Config) -> (Balancer, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let balancer = Balancer::start(config, listener, Arc::new(|_| {})).unwrap();
    let url = format!("http://{}/", balancer.address());
    (balancer, url)
}

async fn admin(balancer: &mut Balancer) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    balancer.serve_admin(listener);
    url
}

/// Sends `count` requests over `connections` at once.
async fn burst(url: &str, count: usize, connections: usize) -> Vec<Result<Got, String>> {
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let (client, url) = (client(), url.to_owned());
        tasks.push(tokio::spawn(async move {
            let mut answers = Vec::new();
            for _ in 0..count / connections {
                answers.push(get(&client, &url).await);
            }
            answers
        }));
    }
    let mut answers = Vec::new();
    for task in tasks {
        answers.extend(task.await.unwrap());
    }
    answers
}

fn fine(answers: Vec<Result<Got, String>>) -> Vec<Got> {
    let fine: Vec<Got> = answers.into_iter().map(Result::unwrap).collect();
    for got in &fine {
        assert_eq!(got.status, 200, "{got:?}");
    }
    fine
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_weights_serve_exactly_equal_parts() {
    let (a, b, c) = (
        Target::start("a").await,
        Target::start("b").await,
        Target::start("c").await,
    );
    let (_balancer, url) = start(&config(vec![
        group("a", 1, &[&a]),
        group("b", 1, &[&b]),
        group("c", 1, &[&c]),
    ]));
    for connections in [1, 6] {
        let tally = tally(&fine(burst(&url, 300, connections).await));
        assert_eq!(
            tally.values().copied().collect::<Vec<_>>(),
            [100, 100, 100],
            "{connections} at once"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weights_are_kept_and_change_under_load_without_a_failure() {
    let (a, b, c) = (
        Target::start("a").await,
        Target::start("b").await,
        Target::start("c").await,
    );
    let groups = |weights: [u32; 3]| {
        config(vec![
            group("a", weights[0], &[&a]),
            group("b", weights[1], &[&b]),
            group("c", weights[2], &[&c]),
        ])
    };
    let (balancer, url) = start(&groups([3, 1, 0]));
    let counted = tally(&fine(burst(&url, 100, 1).await));
    assert_eq!((counted["a"], counted["b"], counted.get("c")), (75, 25, None));
    let change = async {
        for round in 0..50 {
            balancer.apply(&groups([round % 3, 1, 2])).unwrap();
            tokio::task::yield_now().await;
        }
    };
    let (answers, ()) = tokio::join!(burst(&url, 1_200, 6), change);
    fine(answers);
    assert!(balancer.apply(&groups([1_001, 1, 1])).is_err());
    assert!(c.requests.load(Ordering::SeqCst) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_away_is_routed_around_without_an_error_and_comes_back() {
    let (a, b) = (Target::start("a").await, Target::start("b").await);
    let (balancer, url) = start(&config(vec![group("a", 1, &[&a]), group("b", 1, &[&b])]));
    fine(burst(&url, 40, 4).await);
    a.kill().await;
    // Connections that were kept are closed by now; new ones are refused. Neither reaches a client, with a body or without.
    let client = client();
    for round in 0..40 {
        let request = match round % 2 {
            0 => Request::get(&url).body(Full::default()).unwrap(),
            _ => Request::post(format!("{url}echo")).body(Full::from("text")).unwrap(),
        };
        let got = send(&client, request).await.unwrap();
        assert_eq!((got.status, got.by.as_str()), (200, "b"));
        assert_eq!(got.body, if round % 2 == 0 { "b" } else { "text" });
    }
    let back = Target::start_at("a", a.address).await;
    until("back", String::new, async || {
        let got = get(&client, &url).await.unwrap();
        assert_eq!(got.status, 200);
        (got.by == "a").then_some(())
    })
    .await;
    assert!(back.requests.load(Ordering::SeqCst) > 0);
    drop(balancer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_only_what_is_in_flight_on_a_killed_target_fails() {
    let (a, b, c) = (
        Target::start("a").await,
        Target::start("b").await,
        Target::start("c").await,
    );
    let (_balancer, url) = start(&config(vec![
        group("a", 1, &[&a]),
        group("b", 1, &[&b]),
        group("c", 1, &[&c]),
    ]));
    let kill = async {
        until("under way", String::new, async || {
            (a.requests.load(Ordering::SeqCst) > 100).then_some(())
        })
        .await;
        a.kill().await;
    };
    let (answers, ()) = tokio::join!(burst(&url, 2_000, 8), kill);
    let failed: Vec<_> = answers
        .iter()
        .filter(|answer| !answer.as_ref().is_ok_and(|got| got.status == 200))
        .collect();
    assert!(failed.len() <= 8, "{} failed: {:?}", failed.len(), failed.first());
    assert!(
        failed
            .iter()
            .all(|answer| answer.as_ref().is_ok_and(|got| got.status == 502)),
        "{failed:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_nobody_left_the_answer_is_503_and_when_to_come_again() {
    let a = Target::start("a").await;
    let (_balancer, url) = start(&config(vec![group("a", 1, &[&a])]));
    a.kill().await;
    for _ in 0..2 {
        let got = get(&client(), &url).await.unwrap();
        assert_eq!(got.status, 503);
        assert_eq!(got.headers["retry-after"], "1");
        assert!(got.body.ends_with('\n') && got.body.contains("healthy"), "{}", got.body);
    }
}

/// A target that takes the request, or a part of it, and closes without an answer.
async fn rude(bytes: usize) -> (String, Arc<std::sync::atomic::AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let count = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; bytes];
            let _ = stream.read_exact(&mut buffer).await;
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    (address, count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_may_have_arrived_is_not_repeated() {
    let (address, taken) = rude(40).await;
    let b = Target::start("b").await;
    let mut groups = vec![group("a", 1, &[]), group("b", 1, &[&b])];
    groups[0].targets = vec![address];
    let (_balancer, url) = start(&config(groups));
    let request = Request::post(&url).body(Full::from("once")).unwrap();
    let got = send(&client(), request).await.unwrap();
    assert_eq!(got.status, 502, "{got:?}");
    assert!(got.body.starts_with("a broke off: "), "{}", got.body);
    assert_eq!(taken.load(Ordering::SeqCst), 1);
    assert_eq!(b.requests.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_take_a_target_out_and_bring_it_back() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let sick = listener.local_addr().unwrap();
    let b = Target::start("b").await;
    let mut groups = vec![group("a", 1, &[]), group("b", 1, &[&b])];
    groups[0].targets = vec![sick.to_string()];
    groups[0].health = Some(Health {
        path: "/".to_owned(),
        interval_ms: 20,
        timeout_ms: 50,
        healthy: 1,
        unhealthy: 2,
    });
    let (mut balancer, url) = start(&config(groups));
    let admin = admin(&mut balancer).await;
    let healthy = async |wanted: bool| {
        until("seen by the checks", String::new, async || {
            let status = get(&client(), &format!("{admin}/status")).await.unwrap().body;
            let status: serde_json::Value = serde_json::from_str(&status).unwrap();
            (status["groups"][0]["targets"][0]["healthy"] == wanted).then_some(())
        })
        .await;
    };
    // It takes connections and says nothing.
    healthy(false).await;
    assert!(fine(burst(&url, 10, 1).await).iter().all(|got| got.by == "b"));
    drop(listener);
    let _a = Target::start_at("a", sick).await;
    healthy(true).await;
    assert_eq!(tally(&fine(burst(&url, 10, 1).await))["a"], 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_leaves_finishes_what_it_has_but_not_for_ever() {
    let (a, b) = (Target::start("a").await, Target::start("b").await);
    let (balancer, url) = start(&config(vec![group("a", 1, &[&a])]));
    let (quick, slow) = (format!("{url}slow/300"), format!("{url}slow/20000"));
    let quick = tokio::spawn(async move { get(&client(), &quick).await });
    let slow = tokio::spawn(async move { get(&client(), &slow).await });
    until("both there", String::new, async || {
        (a.requests.load(Ordering::SeqCst) == 2).then_some(())
    })
    .await;
    balancer.apply(&config(vec![group("b", 1, &[&b])])).unwrap();
    let left = Instant::now();
    assert_eq!(get(&client(), &url).await.unwrap().by, "b");
    assert_eq!(quick.await.unwrap().unwrap().body, "a");
    assert_eq!(slow.await.unwrap().unwrap().status, 502);
    assert!(left.elapsed() < Duration::from_secs(5), "{:?}", left.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_finishes_what_is_in_flight_within_the_drain_time() {
    let a = Target::start("a").await;
    for (path, drain, whole) in [("slow/200", 5_000, true), ("slow/20000", 200, false)] {
        let (balancer, url) = start(&config(vec![group("a", 1, &[&a])]));
        let before = a.requests.load(Ordering::SeqCst);
        let url = format!("{url}{path}");
        let request = tokio::spawn(async move { get(&client(), &url).await });
        until("there", String::new, async || {
            (a.requests.load(Ordering::SeqCst) > before).then_some(())
        })
        .await;
        let start = Instant::now();
        assert_eq!(balancer.stop(Duration::from_millis(drain)).await, whole);
        assert!(start.elapsed() < Duration::from_secs(4));
        if whole {
            assert_eq!(request.await.unwrap().unwrap().body, "a");
        } else {
            request.abort();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balancer_that_retires_sends_its_clients_to_the_next_one_without_a_failure() {
    let a = Target::start("a").await;
    let config = config(vec![group("a", 1, &[&a])]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let mut first = Balancer::start(&config, listener.try_clone().unwrap(), Arc::new(|_| {})).unwrap();
    let change = async {
        until("under way", String::new, async || {
            (a.requests.load(Ordering::SeqCst) > 200).then_some(())
        })
        .await;
        let second = Balancer::start(&config, listener, Arc::new(|_| {})).unwrap();
        first.retire(Duration::from_secs(5)).await;
        assert!(first.stop(Duration::from_secs(1)).await);
        second
    };
    let (answers, _second) = tokio::join!(burst(&url, 2_000, 8), change);
    fine(answers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_are_kept_and_said() {
    let a = Target::start("a").await;
    let mut config = config(vec![group("a", 1, &[&a])]);
    config.limits.body_bytes = 1_000;
    config.limits.response_head_ms = 100;
    config.limits.request_head_ms = 100;
    config.limits.body_idle_ms = 100;
    let (mut balancer, url) = start(&config);
    let client = client();
    let post = |size: usize| {
        Request::post(format!("{url}echo"))
            .body(Full::from(Bytes::from(vec![b'x'; size])))
            .unwrap()
    };
    assert_eq!(send(&client, post(1_000)).await.unwrap().body.len(), 1_000);
    let got = send(&client, post(1_001)).await.unwrap();
    assert_eq!(
        (got.status, got.body.as_str()),
        (413, "the request body is larger than 1000 bytes\n")
    );
    let got = get(&client, &format!("{url}slow/5000")).await.unwrap();
    assert_eq!(
        (got.status, got.body.as_str()),
        (504, "a did not answer within 100 ms\n")
    );
    // Without a length the limit is met on the way.
    let long = format!(
        "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n7d0\r\n{}\r\n",
        "x".repeat(2_000)
    );
    assert!(raw(&balancer, &long).await.starts_with("HTTP/1.1 413 "));
    // A body that stops coming.
    let answer = raw(
        &balancer,
        "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    // A head that stops coming.
    raw(&balancer, "GET / HTTP/1.1\r\nho").await;
    let admin = admin(&mut balancer).await;
    let metrics = get(&client, &format!("{admin}/metrics")).await.unwrap().body;
    for line in [
        "wasmctl_balancer_requests_total{group=\"a\",code=\"2xx\"} 1",
        "wasmctl_balancer_refused_total{code=\"413\"} 2",
        "wasmctl_balancer_refused_total{code=\"504\"} 1",
        "wasmctl_balancer_refused_total{code=\"408\"} 1",
        "wasmctl_balancer_request_duration_seconds_count{group=\"a\"} 1",
        "wasmctl_balancer_in_flight{group=\"a\",target=",
        "wasmctl_balancer_healthy{group=\"a\",target=",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
}

/// Sends bytes and reads until the other side closes.
async fn raw(balancer: &Balancer, text: &str) -> String {
    let mut stream = TcpStream::connect(balancer.address()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_protocol_change_is_passed_through() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut groups = vec![group("a", 1, &[])];
    groups[0].targets = vec![listener.local_addr().unwrap().to_string()];
    let (balancer, _) = start(&config(groups));
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(
            head.contains("upgrade: shout") && head.contains("connection: upgrade"),
            "{head}"
        );
        let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
        let mut word = [0; 5];
        stream.read_exact(&mut word).await.unwrap();
        word.make_ascii_uppercase();
        stream.write_all(&word).await.unwrap();
    });
    let mut stream = TcpStream::connect(balancer.address()).await.unwrap();
    let request = "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    stream.write_all(b"hello").await.unwrap();
    let mut word = [0; 5];
    stream.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"HELLO");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_has_a_line_in_the_access_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let a = Target::start("a").await;
    let mut config = config(vec![group("a", 1, &[&a])]);
    config.access_log = Some(path.clone());
    let (_balancer, url) = start(&config);
    fine(burst(&url, 3, 1).await);
    let lines = until("written", String::new, async || {
        let text = std::fs::read_to_string(&path).unwrap();
        (text.lines().count() == 3).then_some(text)
    })
    .await
    .unwrap();
    let line = lines.lines().next().unwrap();
    assert!(
        line.contains(&format!("127.0.0.1 \"GET /\" 200 a {} 1 ", a.address)),
        "{line}"
    );
}
