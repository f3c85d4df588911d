//! What `.env` says is read alike by a shell, by python-dotenv and by docker compose.
#![allow(missing_docs, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::Command;

use wasmctl::dotenv::{line, read_line};

/// Values that one reader or another is known to stumble over.
const VALUES: &[&str] = &[
    "",
    " ",
    "a",
    "a b",
    " a ",
    "\ta\t",
    "http://127.0.0.1:8080/a?b=c&d=e#f",
    "a#b",
    "a #b",
    "#",
    "~",
    "~/x",
    "a:~/x",
    "$",
    "$$",
    "$HOME",
    "${HOME}",
    "${HOME:-x}",
    "a$b",
    "$(id)",
    "`id`",
    "$1",
    "%PATH%",
    "!",
    "!!",
    "a!b",
    "it's",
    "'",
    "''",
    "'a'",
    "\"",
    "\"a\"",
    "\"it's\"",
    "a\\b",
    "\\",
    "a\\",
    "\\\\",
    "\\n",
    "\\'",
    "\\\"",
    "\\$HOME",
    "a\\nb",
    "a\nb",
    "a\r\nb",
    "a\0b",
    "a\u{7}b",
    "a\u{1b}[0mb",
    "a\u{7f}b",
    "größe 🦀",
    "größe",
    "e\u{301}",
    "\u{a0}",
    "\u{2028}",
    "\u{85}",
    "\u{feff}x",
    "*",
    "?",
    "[a]",
    "{a,b}",
    "{\"json\": [1, 2, {\"x\": null}]}",
    "{'a': 1}",
    "a;b",
    "a|b",
    "a&b",
    "a<b>c",
    "(a)",
    "a=b",
    "=",
    "a=b=c",
    "export A=b",
    "A=b",
    "true",
    "0644",
    "1e5",
    "-n",
    "-----BEGIN KEY-----",
    "a,b.c_d-e/f:g@h%i+j",
    "sha256:0123456789abcdef",
    "arn:aws:lambda:eu-west-1:123456789012:function:x",
    "100%",
    "^a$",
    "a  b",
];

/// A value of characters that mean something somewhere: the same every time.
fn drawn(seed: u64) -> String {
    const ALPHABET: &[char] = &[
        'a', 'n', 't', 'B', '1', ' ', '\'', '"', '\\', '$', '`', '#', '{', '}', '(', ')', '!', '~', '=', ':', ';', '&',
        '|', '<', '>', '*', '?', '[', ']', '%', '^', ',', '.', '-', '_', '/', '+', '@', '\t', 'é', '🦀',
    ];
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap_or(0)
    };
    let length = 1 + next() % 7;
    (0..length).map(|_| ALPHABET[next() % ALPHABET.len()]).collect()
}

/// All values that can be written, in the order of their names `V0`, `V1` …
fn writable() -> Vec<String> {
    let pairs = " '\"\\$`#!~{}"
        .chars()
        .flat_map(|a| " '\"\\$`#!~{}ab".chars().map(move |b| format!("{a}{b}")));
    VALUES
        .iter()
        .map(|value| (*value).to_owned())
        .chain(pairs)
        .chain((0..4000).map(drawn))
        .filter(|value| line("A", value).is_ok())
        .collect()
}

/// Writes them all into one file, in a folder under `target/`.
fn file(values: &[String]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("test.env");
    let lines: String = values
        .iter()
        .enumerate()
        .map(|(at, value)| line(&format!("V{at}"), value).unwrap() + "\n")
        .collect();
    wasmctl::disk::write_atomically(&path, lines.as_bytes(), 0o644).unwrap();
    (folder, path)
}

fn compare(reader: &str, values: &[String], read: &[String]) {
    assert_eq!(values.len(), read.len(), "{reader}");
    let differ: Vec<String> = values
        .iter()
        .zip(read)
        .filter(|(value, read)| value != read)
        .map(|(value, read)| format!("{}: {read:?} is read for {value:?}", line("A", value).unwrap()))
        .collect();
    assert!(
        differ.is_empty(),
        "{reader} reads {} values otherwise:\n{}",
        differ.len(),
        differ.join("\n")
    );
}

#[test]
fn we_read_what_we_write() {
    let values = writable();
    assert!(values.len() > 1500, "only {} values can be written", values.len());
    let read: Vec<String> = values
        .iter()
        .map(|value| read_line(&line("A", value).unwrap()).unwrap().1)
        .collect();
    compare("wasmctl", &values, &read);
}

#[test]
fn values_of_every_day_can_be_written() {
    for value in VALUES {
        let odd = value.contains(['\n', '\r', '\0', '\\', '$', '\'', '`']) || value.chars().any(char::is_control);
        assert!(odd || line("A", value).is_ok(), "{value:?}");
    }
    for value in ["it's", "a b", "http://h/?a=b&c=d#e", "{\"a\": [1]}", "C:\\dir\\file"] {
        assert!(line("A", value).is_ok(), "{value:?}");
    }
}

#[test]
fn shells_read_it_alike() {
    let values = writable();
    let (_folder, path) = file(&values);
    for shell in ["sh", "dash", "bash", "zsh", "ksh", "busybox"] {
        let mut command = Command::new(shell);
        if shell == "busybox" {
            command.arg("sh");
        }
        let script = format!(
            ". \"$1\"; i=0; while [ $i -lt {} ]; do eval \"printf '%s\\\\0' \\\"\\$V$i\\\"\"; i=$((i+1)); done",
            values.len()
        );
        let output = match command
            .args(["-c", &script, "sh"])
            .arg(&path)
            .env("HOME", "/h")
            .output()
        {
            Ok(output) => output,
            Err(_) if shell == "sh" => panic!("there is no `sh`"),
            Err(_) => {
                eprintln!("SKIPPED: there is no `{shell}` here");
                continue;
            }
        };
        assert!(
            output.status.success(),
            "{shell}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout).unwrap();
        let read: Vec<String> = text.split_terminator('\0').map(str::to_owned).collect();
        compare(shell, &values, &read);
    }
}

/// Runs a reader that prints a JSON map of all entries.
fn read_by(reader: &str, mut command: Command, values: &[String]) {
    let output = command.env("HOME", "/h").output().unwrap();
    assert!(
        output.status.success(),
        "{reader}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let entries: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let read: Vec<String> = (0..values.len())
        .map(|at| entries[format!("V{at}")].as_str().unwrap_or("(nothing)").to_owned())
        .collect();
    compare(reader, values, &read);
}

#[test]
fn python_dotenv_reads_it_alike() {
    let values = writable();
    let (folder, path) = file(&values);
    // Kept between runs, so that only the first one needs a registry.
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python-dotenv");
    let python = venv.join("bin/python");
    let has_it = |python: &Path| {
        Command::new(python)
            .args(["-c", "import dotenv"])
            .output()
            .is_ok_and(|output| output.status.success())
    };
    if !has_it(&python) {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&venv).output();
        let installed = made.is_ok_and(|output| output.status.success())
            && Command::new(&python)
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "python-dotenv",
                ])
                .output()
                .is_ok_and(|output| output.status.success());
        if !installed || !has_it(&python) {
            eprintln!("SKIPPED: python-dotenv cannot be installed here, so it was not tried");
            return;
        }
    }
    let mut command = Command::new(python);
    command
        .args([
            "-c",
            "import dotenv, json, sys; print(json.dumps(dict(dotenv.dotenv_values(sys.argv[1]))))",
        ])
        .arg(&path)
        .current_dir(folder.path());
    read_by("python-dotenv", command, &values);
}

#[test]
fn docker_compose_reads_it_alike() {
    let values = writable();
    let (_folder, path) = file(&values);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/helpers/dotenv-go");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dotenv-go");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(source)
        .output();
    match built {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr).into_owned();
            let offline = ["dial tcp", "no such host", "connection refused", "i/o timeout"];
            assert!(offline.iter().any(|sign| why.contains(sign)), "{why}");
            eprintln!("SKIPPED: the reader of docker compose cannot be fetched here, so it was not tried");
            return;
        }
        Err(_) => {
            eprintln!("SKIPPED: there is no Go here, so the reader of docker compose was not tried");
            return;
        }
    }
    let mut command = Command::new(program);
    command.arg(&path);
    read_by("docker compose", command, &values);
}
