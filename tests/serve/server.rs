//! The binary under test as a child process, and a client that speaks just enough HTTP/1.1.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The longest any single wait may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How much slower than promised a loaded machine may be: promises about latency are multiplied by it. Debug builds
/// of the host on shared machines stay under it; run with `--release` on an idle machine the factor 1 holds.
pub(crate) const SLACK: u32 = 5;

/// A running `wasmctl serve`; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
    stderr: Arc<Mutex<String>>,
}

/// `wasmctl` with an empty environment.
pub(crate) fn wasmctl() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wasmctl"));
    command.env_clear();
    command
}

impl Server {
    /// Serves a file on a free port with further arguments, and waits until it answers.
    pub(crate) fn start(app: &Path, arguments: &[&str]) -> Self {
        let mut command = wasmctl();
        command
            .arg("serve")
            .arg(app)
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments);
        Self::spawn(command)
    }

    /// Runs a prepared command and waits for its `listening on` line.
    pub(crate) fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stderr = collect(&mut child);
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("its output is text");
        let Some(url) = line.trim().strip_prefix("listening on ") else {
            let _ = child.wait();
            panic!("it does not listen: {line:?} {}", stderr.lock().unwrap());
        };
        Self {
            url: url.to_owned(),
            child,
            stderr,
        }
    }

    pub(crate) fn address(&self) -> String {
        self.url.split_once("://").expect("a URL").1.to_owned()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits until something is said on stderr.
    pub(crate) fn says(&self, text: &str) {
        eventually(&format!("{text:?} on stderr, which is:\n{}", self.stderr()), || {
            self.stderr().contains(text)
        });
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
        ))
    }

    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Reply {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        send(&self.address(), &request).expect("an answer")
    }

    pub(crate) fn send(&self, request: &str) -> Reply {
        send(&self.address(), request.as_bytes()).expect("an answer")
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.pid().to_string()])
            .status()
            .expect("kill runs");
        assert!(status.success());
    }

    /// Waits for the end; returns how it ended and how long that took.
    pub(crate) fn wait(&mut self) -> (ExitStatus, Duration) {
        let since = Instant::now();
        let mut status = None;
        eventually("the end of the process", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        (status.expect("just seen"), since.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(child: &mut Child) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let own = Arc::clone(&text);
    let stderr = BufReader::new(child.stderr.take().expect("piped"));
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            let mut text = own.lock().unwrap();
            text.push_str(&line);
            text.push('\n');
        }
    });
    text
}

/// An answer, with its body put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
    /// Whether the body ended where it should.
    pub(crate) complete: bool,
}

/// Sends a request that ends its connection, and reads the answer.
pub(crate) fn send(address: &str, request: &[u8]) -> std::io::Result<Reply> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // A server that refuses a large body may close before it has read all of it.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    if answer.is_empty() {
        read?;
    }
    parse(&answer).ok_or_else(|| std::io::Error::other(format!("no answer: {:?}", String::from_utf8_lossy(&answer))))
}

pub(crate) fn parse(answer: &[u8]) -> Option<Reply> {
    let text = String::from_utf8_lossy(answer);
    let (head, rest) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let head = head.to_ascii_lowercase();
    let (body, complete) = if head.contains("transfer-encoding: chunked") {
        dechunk(rest)
    } else {
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        (rest.to_owned(), length.is_none_or(|length| length == rest.len()))
    };
    Some(Reply {
        status,
        head,
        body,
        complete,
    })
}

fn dechunk(mut rest: &str) -> (String, bool) {
    let mut body = String::new();
    while let Some((length, after)) = rest.split_once("\r\n") {
        let Ok(length) = usize::from_str_radix(length, 16) else {
            break;
        };
        if length == 0 {
            return (body, true);
        }
        let Some(chunk) = after.get(..length) else { break };
        body.push_str(chunk);
        rest = after.get(length + 2..).unwrap_or("");
    }
    (body, false)
}

/// Looks again and again until something holds; fails with `what` when it takes too long.
#[allow(clippy::disallowed_methods, reason = "the one place that waits between two looks")]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
