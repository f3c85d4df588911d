//! Guardians with a worker that does as it is told: this test binary itself, which speaks the same protocol.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use wasmctl::guard::{self, Mode, ProcessId, Progress, Record, RunDir, Spec};

use super::targets::{client, get};
use super::world::until;

/// A run folder that ends what runs in it when the test is over.
struct Guarded {
    _folder: tempfile::TempDir,
    dir: RunDir,
}

impl Drop for Guarded {
    fn drop(&mut self) {
        super::world::stop(self.dir.path());
    }
}

fn spec(mode: Mode, script: &str) -> Spec {
    Spec {
        program: std::env::current_exe().unwrap(),
        args: [
            "--exact",
            "guards::worker",
            "--include-ignored",
            "--nocapture",
            "--test-threads=1",
        ]
        .map(str::to_owned)
        .to_vec(),
        env: BTreeMap::from([("SCRIPT".to_owned(), script.to_owned())]),
        listen: "127.0.0.1:0".to_owned(),
        mode,
        drain_ms: 3_000,
        retires: false,
    }
}

impl Guarded {
    async fn start(mode: Mode, script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::new(folder.path().canonicalize().unwrap().join("run/it"));
        dir.create().unwrap();
        dir.write_spec(&spec(mode, script)).unwrap();
        let guarded = Self { _folder: folder, dir };
        guarded.spawn();
        guarded.up().await;
        guarded
    }

    fn spawn(&self) {
        guard::spawn(env!("CARGO_BIN_EXE_wasmctl").as_ref(), &self.dir, None).unwrap();
    }

    fn record(&self) -> Option<Record> {
        self.dir.record().unwrap()
    }

    async fn up(&self) -> Record {
        self.when(|record| record.progress == Progress::Ready && record.guardian.is_alive())
            .await
    }

    async fn when(&self, is: impl Fn(&Record) -> bool) -> Record {
        until(
            "so",
            || format!("{:?}", self.record()),
            async || self.record().filter(|record| is(record)),
        )
        .await
        .unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.record().unwrap().address)
    }

    /// Asks on a new connection.
    async fn ask(&self, path: &str) -> String {
        get(&client(), &self.url(path)).await.unwrap().body
    }

    async fn stop(&self) {
        self.dir.mark_stop().unwrap();
        self.record().unwrap().guardian.signal(Signal::TERM).unwrap();
        until("gone", String::new, async || (!self.dir.exists()).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_is_started_replaced_and_stopped() {
    let guarded = Guarded::start(Mode::Always, "").await;
    let before = guarded.up().await;
    let worker = before.worker.unwrap();
    assert_eq!(guarded.ask("/pid").await, worker.pid.to_string());
    worker.signal(Signal::KILL).unwrap();
    // No wait: the connection stands in the queue until there is somebody again.
    let start = Instant::now();
    assert_ne!(guarded.ask("/pid").await, worker.pid.to_string());
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let now = guarded.up().await;
    assert_eq!((now.address, now.guardian.clone()), (before.address, before.guardian));
    guarded.stop().await;
    assert!(!now.worker.unwrap().is_alive());
    until("ended", String::new, async || (!now.guardian.is_alive()).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_guardian_is_replaced_on_the_same_socket_while_requests_go_on() {
    for mode in [Mode::Always, Mode::OnDemand] {
        let guarded = Guarded::start(mode, "idle=200").await;
        let before = guarded.up().await;
        let slow = if mode == Mode::Always {
            let url = guarded.url("/slow/500");
            Some(tokio::spawn(async move { get(&client(), &url).await }))
        } else {
            None
        };
        if slow.is_some() {
            until("in flight", String::new, async || {
                (guarded.ask("/busy").await == "1").then_some(())
            })
            .await;
        }
        before.guardian.signal(Signal::KILL).unwrap();
        let start = Instant::now();
        let after = guarded
            .when(|record| record.guardian != before.guardian && record.guardian.is_alive())
            .await;
        assert!(
            start.elapsed() < Duration::from_secs(2),
            "{mode:?} {:?}",
            start.elapsed()
        );
        assert_eq!(after.address, before.address);
        if let Some(slow) = slow {
            assert_eq!(
                slow.await.unwrap().unwrap().status,
                200,
                "the old worker finishes what it has"
            );
        }
        assert!(guarded.ask("/pid").await.parse::<u32>().is_ok());
        guarded.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_guardians_for_one_folder_are_one() {
    let guarded = Guarded::start(Mode::Always, "").await;
    let first = guarded.up().await;
    for _ in 0..8 {
        guarded.spawn();
    }
    // Each of them has its say before this one, which also only finds that it is one too many.
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_wasmctl"))
        .arg("guard")
        .arg(guarded.dir.path())
        .stdin(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    let now = guarded.up().await;
    assert_eq!((now.guardian, now.worker), (first.guardian, first.worker));
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_spec_is_taken_over_on_the_same_socket() {
    let guarded = Guarded::start(Mode::Always, "").await;
    let before = guarded.up().await;
    let (url, stop) = (
        guarded.url("/script"),
        std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)),
    );
    let over = std::sync::Arc::clone(&stop);
    let load = tokio::spawn(async move {
        let mut said = Vec::new();
        while !over.load(std::sync::atomic::Ordering::SeqCst) {
            said.push(get(&client(), &url).await.unwrap().body);
        }
        said
    });
    let digest = guarded.dir.write_spec(&spec(Mode::Always, "new=1")).unwrap();
    before.guardian.signal(Signal::HUP).unwrap();
    let after = guarded
        .when(|record| record.spec == digest && record.progress == Progress::Ready)
        .await;
    until("ended", String::new, async || {
        (!before.worker.as_ref().unwrap().is_alive()).then_some(())
    })
    .await;
    assert_eq!(guarded.ask("/script").await, "new=1");
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    let said = load.await.unwrap();
    assert!(
        said.iter().any(String::is_empty) && said.iter().any(|said| said == "new=1"),
        "{}",
        said.len()
    );
    assert_eq!(after.guardian, before.guardian);
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_never_comes_up_is_reported_with_its_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::new(folder.path().join("run/it"));
    dir.create().unwrap();
    dir.write_spec(&spec(Mode::Always, "fail=no such thing")).unwrap();
    let guarded = Guarded { _folder: folder, dir };
    guarded.spawn();
    let record = guarded.when(|record| record.failures >= 3).await;
    assert_eq!(record.progress, Progress::Starting);
    let detail = record.detail.unwrap();
    assert!(
        detail.contains("exit code 7") && detail.contains("no such thing"),
        "{detail}"
    );
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_demand_there_is_no_worker_until_a_request_and_none_after_the_last() {
    let guarded = Guarded::start(Mode::OnDemand, "idle=100").await;
    for _ in 0..3 {
        guarded.when(|record| record.worker.is_none()).await;
        let pid = guarded.ask("/pid").await;
        let record = guarded.when(|record| record.worker.is_some()).await;
        assert_eq!(record.worker.unwrap().pid.to_string(), pid);
    }
    guarded.when(|record| record.worker.is_none()).await;
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_at_the_moment_of_the_idle_stop_does_not_fail() {
    let guarded = Guarded::start(Mode::OnDemand, "idle=3").await;
    let mut workers = std::collections::BTreeSet::new();
    for round in 0..300_u64 {
        // Around the idle time, from before to after.
        let pause = Duration::from_micros(2_000 + round * 20);
        let _ = tokio::time::timeout(pause, std::future::pending::<()>()).await;
        workers.insert(guarded.ask("/pid").await);
    }
    // How many stops a busy machine gets to is its own affair; none would prove nothing.
    assert!(workers.len() > 1, "{}", workers.len());
    guarded.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_both_deaths_leave_is_cleared_away() {
    let guarded = Guarded::start(Mode::Always, "").await;
    let record = guarded.up().await;
    record.guardian.signal(Signal::STOP).unwrap();
    record.worker.as_ref().unwrap().signal(Signal::KILL).unwrap();
    record.guardian.signal(Signal::KILL).unwrap();
    until("dead", String::new, async || {
        (!guarded.dir.is_guarded().unwrap()).then_some(())
    })
    .await;
    assert!(guarded.dir.clear().unwrap());
    assert!(!guarded.dir.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_removed_by_hand_ends_its_processes() {
    let guarded = Guarded::start(Mode::Always, "").await;
    let record = guarded.up().await;
    std::fs::remove_dir_all(guarded.dir.path()).unwrap();
    let all: [&ProcessId; 2] = [&record.guardian, record.worker.as_ref().unwrap()];
    until("ended", String::new, async || {
        (!all.iter().any(|process| process.is_alive())).then_some(())
    })
    .await;
}

/// Not a test: the worker of the tests above, run by their guardians.
#[test]
#[ignore = "a worker, started by guardians"]
#[allow(clippy::disallowed_methods, reason = "its instructions come by the environment")]
fn worker() {
    let Ok(script) = std::env::var("SCRIPT") else { return };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(stand_in::work(&script));
}

/// What `wasmctl serve` is to a guardian, without Wasm.
#[allow(
    clippy::disallowed_methods,
    reason = "a process of its own, which waits and ends as told"
)]
mod stand_in {
    use std::convert::Infallible;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body_util::Full;
    use hyper::body::Incoming;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use hyper_util::server::graceful::GracefulShutdown;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::signal::unix::{SignalKind, signal};
    use wasmctl::guard::{self, RunDir};

    pub async fn work(script: &str) {
        let value = |key: &str| script.strip_prefix(key);
        if let Some(reason) = value("fail=") {
            eprintln!("{reason}");
            std::process::exit(7);
        }
        let idle = value("idle=").map(|ms| Duration::from_millis(ms.parse().unwrap()));
        let mut terminate = signal(SignalKind::terminate()).unwrap();
        let listener = guard::inherited_listener().unwrap().unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let control = guard::inherited_control().unwrap();
        control.set_nonblocking(true).unwrap();
        let (mut read, mut write) = tokio::net::UnixStream::from_std(control).unwrap().into_split();
        let (busy, begun) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let graceful = Rc::new(GracefulShutdown::new());
        // A test harness has begun the line with the name of the test.
        write.write_all(b"\nready\n").await.unwrap();
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let (mut byte, mut seen) = ([0; 1], 0);
                loop {
                    tokio::select! {
                        _ = terminate.recv() => break,
                        _ = read.read(&mut byte) => {
                            guard::heal(&RunDir::new(std::env::var_os("WASMCTL_RUN_DIR").unwrap())).unwrap();
                            break;
                        }
                        () = tokio::time::sleep(idle.unwrap_or(Duration::MAX)) => {
                            let now = begun.load(Ordering::SeqCst);
                            if now == seen && busy.load(Ordering::SeqCst) == 0 {
                                write.write_all(b"idle\n").await.unwrap();
                            }
                            seen = now;
                        }
                        accepted = listener.accept() => {
                            let (busy, begun, script) = (Arc::clone(&busy), Arc::clone(&begun), script.to_owned());
                            let service = service_fn(move |request| {
                                begun.fetch_add(1, Ordering::SeqCst);
                                answer(request, Arc::clone(&busy), script.clone())
                            });
                            let io = TokioIo::new(accepted.unwrap().0);
                            let connection = http1::Builder::new().keep_alive(false).serve_connection(io, service);
                            // Counted, but never asked to close: each connection is good for one answer anyway.
                            let watcher = graceful.watcher();
                            tokio::task::spawn_local(async move {
                                let _watcher = watcher;
                                let _ = connection.await;
                            });
                        }
                    }
                }
                drop(listener);
                while graceful.count() > 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            })
            .await;
        std::process::exit(0);
    }

    async fn answer(
        request: Request<Incoming>,
        busy: Arc<AtomicUsize>,
        script: String,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path();
        let text = if let Some(ms) = path.strip_prefix("/slow/") {
            busy.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(ms.parse().unwrap())).await;
            busy.fetch_sub(1, Ordering::SeqCst);
            String::new()
        } else {
            match path {
                "/pid" => std::process::id().to_string(),
                "/busy" => busy.load(Ordering::SeqCst).to_string(),
                _ => script,
            }
        };
        Ok(Response::new(Full::new(Bytes::from(text))))
    }
}
