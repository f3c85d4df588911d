//! What the engine costs: four shapes of stack, four sizes, four phases; Terraform and OpenTofu beside it
//! where they are on `PATH`.
//!
//! `cargo bench --bench engine -- [--sizes 1000,10000,100000] [--rounds 3] [--files] [--others 1000]`
//!
//! Every command runs as a process of its own, started by a copy of this program, so that the peak of
//! its memory is its own.
#![allow(missing_docs, clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|word| word == "--measure") {
        return measure_child(&arguments[2..]);
    }
    let value = |name: &str, default: &str| {
        let at = arguments.iter().position(|word| word == name);
        at.and_then(|at| arguments.get(at + 1).cloned())
            .unwrap_or_else(|| default.to_owned())
    };
    let sizes: Vec<usize> = value("--sizes", "1000,10000,100000")
        .split(',')
        .filter_map(|size| size.parse().ok())
        .collect();
    let rounds: usize = value("--rounds", "3").parse().unwrap_or(3);
    let others: usize = value("--others", "1000").parse().unwrap_or(0);
    let wasmctl = env!("CARGO_BIN_EXE_wasmctl");

    println!("## Engine\n");
    println!("Medians of {rounds} rounds (one at 100,000); wall and CPU in seconds, peak memory in MB.\n");
    println!("| tool | kind | shape | resources | plan | apply | empty plan | destroy | CPU of all | peak |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for shape in SHAPES {
        for &size in &sizes {
            let rounds = if size >= 100_000 { 1 } else { rounds };
            row("wasmctl", "std/value", shape, size, rounds, |folder| {
                write(&folder.join("stacks/s/stack.yaml"), &values(shape, size));
                wasmctl_phases(wasmctl)
            });
        }
    }
    for &size in sizes.iter().filter(|size| **size <= 10_000) {
        row("wasmctl", "std/file", "independent", size, rounds, |folder| {
            write(&folder.join("stacks/s/stack.yaml"), &files(size));
            wasmctl_phases(wasmctl)
        });
    }
    for tool in ["terraform", "tofu"] {
        match Command::new(tool).arg("version").output() {
            Ok(output) if output.status.success() && others > 0 => {
                let text = String::from_utf8_lossy(&output.stdout);
                let version = text.lines().next().unwrap_or(tool).to_owned();
                row(&version, "terraform_data", "independent", others, 1, |folder| {
                    write(&folder.join("main.tf"), &hcl(others));
                    let init = Command::new(tool)
                        .arg("init")
                        .current_dir(folder)
                        .stdout(Stdio::null())
                        .status();
                    assert!(init.is_ok_and(|status| status.success()), "{tool} init");
                    let phase = |words: &[&str]| {
                        std::iter::once(tool)
                            .chain(words.iter().copied())
                            .map(str::to_owned)
                            .collect()
                    };
                    [
                        phase(&["plan", "-input=false"]),
                        phase(&["apply", "-input=false", "-auto-approve"]),
                        phase(&["plan", "-input=false"]),
                        phase(&["destroy", "-input=false", "-auto-approve"]),
                    ]
                });
            }
            _ => eprintln!("SKIPPED: {tool} is not on PATH, so it is not measured beside wasmctl"),
        }
    }
}

const SHAPES: [&str; 4] = ["independent", "chain", "fan of ten", "pairs"];

fn values(shape: &str, size: usize) -> String {
    let mut text = String::from("name: s\nresources:\n");
    if shape == "pairs" {
        let keys: Vec<String> = (0..size / 2).map(|index| format!("k{index}")).collect();
        let _ = writeln!(
            text,
            "  a: {{ type: std/value, for_each: \"{{{{ var.keys }}}}\", value: \"{{{{ each.key }}}}\" }}"
        );
        let _ = writeln!(
            text,
            "  b: {{ type: std/value, for_each: \"{{{{ var.keys }}}}\", value: \"{{{{ a[each.key].value }}}}\" }}"
        );
        let _ = writeln!(
            text,
            "variables:\n  keys:\n    type: list\n    default: [{}]",
            keys.join(", ")
        );
        return text;
    }
    for index in 0..size {
        let value = match shape {
            "chain" if index > 0 => format!("\"{{{{ r{}.value }}}}\"", index - 1),
            "fan of ten" if index > 0 => format!("\"{{{{ r{}.value }}}}\"", (index - 1) / 10),
            _ => format!("{index}"),
        };
        let _ = writeln!(text, "  r{index}:\n    type: std/value\n    value: {value}");
    }
    text
}

fn files(size: usize) -> String {
    let mut text = String::from("name: s\nresources:\n");
    for index in 0..size {
        let _ = writeln!(
            text,
            "  r{index}:\n    type: std/file\n    path: out/{}/{index}\n    content: \"{index}\"",
            index % 100
        );
    }
    text
}

fn hcl(size: usize) -> String {
    (0..size).fold(String::new(), |mut text, index| {
        let _ = writeln!(
            text,
            "resource \"terraform_data\" \"r{index}\" {{\n  input = \"{index}\"\n}}"
        );
        text
    })
}

fn wasmctl_phases(wasmctl: &str) -> [Vec<String>; 4] {
    let phase = |words: &[&str]| {
        std::iter::once(wasmctl)
            .chain(words.iter().copied())
            .map(str::to_owned)
            .collect()
    };
    [
        phase(&["plan", "s"]),
        phase(&["deploy", "s", "--yes"]),
        phase(&["plan", "s"]),
        phase(&["destroy", "s", "--yes"]),
    ]
}

#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    wall: f64,
    cpu: f64,
    peak: f64,
}

fn row(tool: &str, kind: &str, shape: &str, size: usize, rounds: usize, set_up: impl Fn(&Path) -> [Vec<String>; 4]) {
    let mut costs: [Vec<Cost>; 4] = Default::default();
    for _ in 0..rounds {
        let folder = tempfile::tempdir().expect("a folder");
        let phases = set_up(folder.path());
        for (phase, costs) in phases.iter().zip(&mut costs) {
            costs.push(measure(phase, folder.path()));
        }
    }
    let median = |costs: &[Cost], of: fn(&Cost) -> f64| {
        let mut all: Vec<f64> = costs.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let walls: Vec<String> = costs
        .iter()
        .map(|costs| format!("{:.2}", median(costs, |cost| cost.wall)))
        .collect();
    let cpu: f64 = costs.iter().map(|costs| median(costs, |cost| cost.cpu)).sum();
    let peak = costs
        .iter()
        .map(|costs| median(costs, |cost| cost.peak))
        .fold(0.0, f64::max);
    println!(
        "| {tool} | {kind} | {shape} | {size} | {} | {cpu:.2} | {peak:.0} |",
        walls.join(" | ")
    );
}

/// Runs a command in a copy of this program, which has no other children.
fn measure(command: &[String], folder: &Path) -> Cost {
    let me: PathBuf = std::env::current_exe().expect("this program");
    let output = Command::new(me)
        .arg("--measure")
        .args(command)
        .current_dir(folder)
        .env("WASMCTL_DIR", folder)
        .output()
        .expect("a measurement");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    Cost {
        wall: numbers[0],
        cpu: numbers[1],
        peak: numbers[2],
    }
}

fn measure_child(command: &[String]) {
    let begun = Instant::now();
    let status = Command::new(&command[0])
        .args(&command[1..])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("the command");
    let wall = begun.elapsed().as_secs_f64();
    assert!(status.success(), "{command:?} ended with {status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("usage");
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let (cpu, peak) = (micros as f64 / 1e6, usage.max_rss() as f64 / 1024.0);
    println!("{wall} {cpu} {peak}");
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, text).expect("a file");
}
