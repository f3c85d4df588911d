//! Broken stacks: each with its exact diagnostics, in a file beside it. `WASMCTL_CASE=name` runs only that one.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::project::Project;

/// How long one case may take, on a machine that has other work too.
const PATIENCE: Duration = Duration::from_secs(20);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken/cases")
}

/// Plans a case on a thread of its own: a panic or an endless loop is the failure of that case alone.
fn run(name: &str, make: impl FnOnce() -> Project + Send + 'static) -> Result<(), String> {
    if std::env::var_os("WASMCTL_CASE").is_some_and(|only| only != name) {
        return Ok(());
    }
    let (send, receive) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let project = make();
        let before = project.listing();
        let begun = Instant::now();
        let told = project.told();
        let took = begun.elapsed();
        let untouched = before == project.listing();
        // Nobody listens any more if it took too long.
        let _ = send.send((told, took, untouched));
    });
    let (told, took, untouched) = match receive.recv_timeout(PATIENCE) {
        Ok(ended) => ended,
        Err(mpsc::RecvTimeoutError::Timeout) => return Err(format!("{name}: no end after {PATIENCE:?}")),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            let why = thread.join().err();
            let why = why.as_ref().and_then(|why| {
                why.downcast_ref::<String>()
                    .map(String::as_str)
                    .or_else(|| why.downcast_ref::<&str>().copied())
            });
            return Err(format!("{name}: panicked: {}", why.unwrap_or("without words")));
        }
    };
    let _ = thread.join();
    if !untouched {
        return Err(format!("{name}: the project folder was touched"));
    }
    if std::env::var_os("WASMCTL_SHOW_TIMES").is_some() {
        eprintln!("{took:>10.1?} {name}");
    }
    let path = folder().join(format!("{name}.txt"));
    if std::env::var_os("WASMCTL_BLESS").is_some() {
        wasmctl::disk::write_atomically(&path, told.as_bytes(), 0o644).map_err(|error| error.to_string())?;
        return Ok(());
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    if told == want {
        Ok(())
    } else {
        Err(format!("{name}:\n--- expected\n{want}--- told\n{told}"))
    }
}

fn finish(failures: Vec<String>) {
    assert!(
        failures.is_empty(),
        "{} cases differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn every_broken_stack_gets_its_exact_words() {
    let names = stacks();
    let failures = names.iter().filter_map(|name| {
        let text = std::fs::read(folder().join(format!("{name}.yaml"))).unwrap();
        run(name, move || Project::new(text)).err()
    });
    finish(failures.collect());
}

#[test]
fn every_broken_project_gets_its_exact_words() {
    let failures = PROJECTS.iter().filter_map(|(name, make)| run(name, *make).err());
    finish(failures.collect());
}

/// The same through the program: what is shown is bounded, and nothing is left behind.
#[test]
fn the_command_line_shows_them_all() {
    let failures = stacks().into_iter().filter_map(|name| {
        let text = std::fs::read(folder().join(format!("{name}.yaml"))).unwrap();
        shown(&name, &Project::new(text)).err()
    });
    let projects = PROJECTS
        .iter()
        .filter(|(name, _)| name.starts_with("file-") || name.starts_with("bomb-"));
    finish(
        failures
            .chain(projects.filter_map(|(name, make)| shown(name, &make()).err()))
            .collect(),
    );
}

fn shown(name: &str, project: &Project) -> Result<(), String> {
    let before = project.listing();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_wasmctl"))
        .args(["plan", "s", "--dir"])
        .arg(project.root())
        .env_clear()
        .env("COLUMNS", "100")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let expected = std::fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap_or_default();
    let want = i32::from(!expected.starts_with("planned"));
    if output.status.code() != Some(want) || said.contains("panicked") {
        return Err(format!("{name}: {:?}\n{said}", output.status));
    }
    if said.len() > 100_000 {
        return Err(format!("{name}: {} bytes are too much to read", said.len()));
    }
    if before != project.listing() {
        return Err(format!("{name}: the project folder was touched"));
    }
    Ok(())
}

fn stacks() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".yaml")?.to_owned()))
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn every_expectation_belongs_to_a_case() {
    let stale: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".txt")?.to_owned()))
        .filter(|name| {
            !folder().join(format!("{name}.yaml")).exists() && !PROJECTS.iter().any(|(project, _)| project == name)
        })
        .collect();
    assert!(stale.is_empty(), "no case for {stale:?}");
    let count = std::fs::read_dir(folder())
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|ending| ending == "txt"))
        .count();
    assert!(count >= 90, "only {count} broken stacks");
}

type Case = (&'static str, fn() -> Project);

/// A stack with these resources.
fn resources(text: &str) -> String {
    format!("name: s\nresources:\n{text}")
}

/// A stack with one variable and one resource that uses it.
fn variable(declared: &str) -> Project {
    Project::new(format!(
        "name: s\nvariables:\n  v: {declared}\nresources:\n  a: {{ type: std/value, value: \"{{{{ var.v }}}}\" }}\n"
    ))
}

/// Resources `r0` … that need each other in a ring.
fn ring(length: usize) -> Project {
    let lines: String = (0..length)
        .map(|at| {
            let next = (at + 1) % length;
            format!("  r{at}: {{ type: std/value, value: \"{{{{ r{next}.value }}}}\" }}\n")
        })
        .collect();
    Project::new(resources(&lines))
}

fn link(project: &Project, to: &str, at: &str) {
    let path = project.path(at);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(to, path).unwrap();
}

const TEMPLATE: &str =
    "name: s\nresources:\n  a:\n    type: std/template\n    template: page.html\n    vars: { x: 1 }\n";
const INCLUDE: &str = "name: s\ninclude: [../shared/part.yaml]\nresources:\n  a: { type: std/value, value: 1 }\n";
const PLAIN: &str = "name: s\nresources:\n  a: { type: std/value, value: 1 }\n";

const PROJECTS: &[Case] = &[
    // Files that are no text, or too much of it.
    ("file-100-mb", || {
        let mut text = String::from(PLAIN);
        text.push_str(&"# 0123456789012345678901234567890123456789\n".repeat((100 << 20) / 43));
        Project::new(text)
    }),
    ("file-not-utf-8", || {
        Project::new(b"name: s\nresources:\n  a: { type: std/value, value: \"caf\xe9\" }\n")
    }),
    ("file-utf-16", || {
        let text: Vec<u8> = PLAIN.encode_utf16().flat_map(u16::to_le_bytes).collect();
        Project::new([&[0xff, 0xfe], text.as_slice()].concat())
    }),
    ("file-nul-bytes", || {
        Project::new("name: s\nresources:\n  a: { type: std/value, value: \"a\0b\" }\n")
    }),
    ("file-binary", || Project::new([0_u8, 1, 2, 3, 0x7f, b'E', b'L', b'F'])),
    ("file-empty", || Project::new("")),
    ("file-bom-only", || Project::new("\u{feff}")),
    ("file-is-a-folder", || {
        let project = Project::new(PLAIN);
        std::fs::remove_file(project.path("stacks/s/stack.yaml")).unwrap();
        std::fs::create_dir(project.path("stacks/s/stack.yaml")).unwrap();
        project
    }),
    ("file-loops-to-itself", || {
        let project = Project::new(PLAIN);
        std::fs::remove_file(project.path("stacks/s/stack.yaml")).unwrap();
        link(&project, "stack.yaml", "stacks/s/stack.yaml");
        project
    }),
    ("file-is-a-pipe", || {
        let project = Project::new(PLAIN);
        let path = project.path("stacks/s/stack.yaml");
        std::fs::remove_file(&path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(path).status();
        assert!(made.unwrap().success());
        project
    }),
    ("stack-unknown", || {
        let mut project = Project::new(PLAIN).with("stacks/production/stack.yaml", PLAIN);
        project.request.stack = "prodution".to_owned();
        project
    }),
    ("stack-bad-name", || {
        let mut project = Project::new(PLAIN);
        project.request.stack = "..".to_owned();
        project
    }),
    ("stack-outside", || {
        let mut project = Project::new(PLAIN);
        project.request.stack = "../elsewhere/stack.yaml".to_owned();
        project
    }),
    ("stack-empty-name", || {
        let mut project = Project::new(PLAIN);
        project.request.stack = String::new();
        project
    }),
    ("env-bad-name", || {
        let mut project = Project::new(PLAIN);
        project.request.env = "../../etc".to_owned();
        project
    }),
    ("target-unknown", || {
        let mut project = Project::new(PLAIN.replace("  a:", "  alpha:"));
        project.request.targets = vec!["alhpa".parse().unwrap()];
        project
    }),
    ("target-no-such-instance", || {
        let mut project = Project::new(resources("  a: { type: std/value, for_each: [x, y], value: 1 }\n"));
        project.request.targets = vec!["a[z]".parse().unwrap()];
        project
    }),
    // Bombs.
    ("bomb-nested-flow", || {
        Project::new(format!("name: s\nresources: {}", "[".repeat(100_000)))
    }),
    ("bomb-nested-flow-maps", || {
        Project::new(format!("name: s\nresources: {}", "{a: ".repeat(100_000)))
    }),
    ("bomb-nested-block", || {
        // One level more a line: 1,000 levels are 500 KB already.
        let levels: String = (0..1000).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
        Project::new(levels)
    }),
    ("bomb-nested-block-lists", || {
        Project::new(format!("name: s\nresources:\n {}x\n", "- ".repeat(100_000)))
    }),
    ("bomb-aliases", || {
        let mut text = String::from(
            "name: s\nresources:\n  a:\n    type: std/value\n    value:\n      a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n",
        );
        for level in 1..10 {
            let inner = vec![format!("*a{}", level - 1); 10].join(",");
            text += &format!("      a{level}: &a{level} [{inner}]\n");
        }
        Project::new(text)
    }),
    ("bomb-merge-keys", || {
        let mut text = String::from("name: s\nx0: &a0 { k0: 1, k1: 1 }\n");
        for level in 1..30 {
            text += &format!(
                "x{level}: &a{level} {{ l: {{ <<: *a{below} }}, r: {{ <<: *a{below} }} }}\n",
                below = level - 1
            );
        }
        Project::new(text)
    }),
    ("bomb-long-key", || {
        Project::new(format!("name: s\nresources:\n  {}: 1\n", "k".repeat(100_000)))
    }),
    ("bomb-long-quoted-key", || {
        Project::new(format!("name: s\nresources:\n  ? \"{}\"\n  : 1\n", "k".repeat(100_000)))
    }),
    ("bomb-10000-errors", || {
        let lines: String = (0..10_000)
            .map(|at| format!("  r{at}: {{ type: std/valeu, value: 1 }}\n"))
            .collect();
        Project::new(resources(&lines))
    }),
    ("bomb-10000-unknown-names", || {
        let lines: String = (0..10_000)
            .map(|at| format!("  r{at}: {{ type: std/value, value: \"{{{{ x{at}.value }}}}\" }}\n"))
            .collect();
        Project::new(resources(&lines))
    }),
    ("bomb-template-nesting", || {
        let leaf = format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000));
        Project::new(resources(&format!("  a: {{ type: std/value, value: \"{leaf}\" }}\n")))
    }),
    ("bomb-reference-nesting", || {
        let leaf = format!("{{{{ {}a{} }}}}", "a[".repeat(100_000), "]".repeat(100_000));
        Project::new(resources(&format!("  a: {{ type: std/value, value: \"{leaf}\" }}\n")))
    }),
    ("bomb-reference-path", || {
        let leaf = format!("{{{{ b{} }}}}", ".value".repeat(100_000));
        Project::new(resources(&format!(
            "  a: {{ type: std/value, value: \"{leaf}\" }}\n  b: {{ type: std/value, value: 1 }}\n"
        )))
    }),
    ("bomb-template-loops", || {
        let line = "{% for a in range(end=100000) %}{% for b in range(end=100000) %}0123456789{% endfor %}{% endfor %}";
        Project::new(resources(&format!("  a: {{ type: std/value, value: \"{line}\" }}\n")))
    }),
    ("bomb-template-file-loops", || {
        let line = "{% for a in range(end=100000) %}{% for b in range(end=100000) %}0123456789{% endfor %}{% endfor %}";
        Project::new(TEMPLATE).with("templates/page.html", line)
    }),
    ("bomb-doubling-values", || {
        // Each value is twice the one before: 40 of them are a terabyte.
        let mut text = String::from("  r0: { type: std/value, value: abcdefghij }\n");
        for at in 1..40 {
            let below = at - 1;
            text += &format!(
                "  r{at}: {{ type: std/value, value: \"{{{{ r{below}.value }}}}{{{{ r{below}.value }}}}\" }}\n"
            );
        }
        Project::new(resources(&text))
    }),
    ("bomb-pattern", || {
        variable("{ type: string, default: x, pattern: \"(((a{1000}){1000}){1000}){1000}\" }")
    }),
    // Circles.
    ("cycle-2", || ring(2)),
    ("cycle-5", || ring(5)),
    ("cycle-1000", || ring(1000)),
    // Files that include files.
    ("include-missing", || Project::new(INCLUDE)),
    ("include-misspelled", || {
        Project::new(INCLUDE).with("stacks/shared/parts.yaml", "resources: {}\n")
    }),
    ("include-broken", || {
        Project::new(INCLUDE).with("stacks/shared/part.yaml", "resources: [\n")
    }),
    ("include-empty", || {
        Project::new(INCLUDE).with("stacks/shared/part.yaml", "# nothing yet\n")
    }),
    ("include-a-whole-stack", || {
        Project::new(INCLUDE).with("stacks/shared/part.yaml", "name: t\non: x\nresources: {}\n")
    }),
    ("include-itself", || {
        Project::new("name: s\ninclude: [stack.yaml]\nresources: {}\n")
    }),
    ("include-circle", || {
        Project::new(INCLUDE)
            .with("stacks/shared/part.yaml", "include: [other.yaml]\n")
            .with("stacks/shared/other.yaml", "include: [part.yaml]\n")
    }),
    ("include-twice", || {
        Project::new(INCLUDE.replace("part.yaml]", "part.yaml, ../s/../shared/./part.yaml]"))
            .with("stacks/shared/part.yaml", "resources: {}\n")
    }),
    ("include-same-names", || {
        Project::new(INCLUDE.replace("resources:", "variables: { v: { default: 1 } }\noutputs: { o: 1 }\nresources:")).with(
            "stacks/shared/part.yaml",
            "variables: { v: { default: 2 } }\noutputs: { o: 2 }\nresources:\n  a: { type: std/value, value: 2 }\nproviders: { std: {} }\n",
        )
    }),
    ("include-outside", || {
        Project::new(INCLUDE.replace("../shared/part.yaml", "../../../../etc/passwd"))
    }),
    ("include-absolute", || {
        Project::new(INCLUDE.replace("../shared/part.yaml", "/etc/passwd"))
    }),
    ("include-through-a-link", || {
        let project = Project::new(INCLUDE);
        link(&project, "/etc/passwd", "stacks/shared/part.yaml");
        project
    }),
    ("include-a-folder", || {
        Project::new(INCLUDE.replace("/part.yaml", "")).with("stacks/shared/x.yaml", "")
    }),
    ("include-250-files", || {
        let names: Vec<String> = (0..250).map(|at| format!("p{at}.yaml")).collect();
        let mut project = Project::new(format!("name: s\ninclude: [{}]\nresources: {{}}\n", names.join(", ")));
        for name in names {
            project = project.with(&format!("stacks/s/{name}"), "resources: {}\n");
        }
        project
    }),
    // Templates.
    ("template-missing", || {
        Project::new(TEMPLATE).with("templates/pag.html", "")
    }),
    ("template-none-at-all", || Project::new(TEMPLATE)),
    ("template-syntax", || {
        Project::new(TEMPLATE).with("templates/page.html", "<p>\n{% if x %}\n")
    }),
    ("template-undefined", || {
        Project::new(TEMPLATE).with("templates/page.html", "<p>\n  {{ name }}\n")
    }),
    ("template-unknown-filter", || {
        Project::new(TEMPLATE).with("templates/page.html", "{{ x | uper }}\n")
    }),
    ("template-includes-missing", || {
        Project::new(TEMPLATE).with("templates/page.html", "{% include \"head.html\" %}\n")
    }),
    ("template-includes-itself", || {
        Project::new(TEMPLATE).with("templates/page.html", "{% include \"page.html\" %}\n")
    }),
    ("template-extends-in-a-circle", || {
        Project::new(TEMPLATE)
            .with("templates/page.html", "{% extends \"base.html\" %}\n")
            .with("templates/base.html", "{% extends \"page.html\" %}\n")
    }),
    ("template-includes-outside", || {
        Project::new(TEMPLATE).with("templates/page.html", "{% include \"../secrets\" %}\n")
    }),
    ("template-outside", || {
        Project::new(TEMPLATE.replace("page.html", "../stacks/s/stack.yaml"))
    }),
    ("template-absolute", || {
        Project::new(TEMPLATE.replace("page.html", "/etc/passwd"))
    }),
    ("template-through-a-link", || {
        let project = Project::new(TEMPLATE);
        link(&project, "/etc/passwd", "templates/page.html");
        project
    }),
    ("template-not-utf-8", || {
        Project::new(TEMPLATE).with("templates/page.html", b"ok\nna\xefve\n")
    }),
    ("template-a-folder", || {
        Project::new(TEMPLATE.replace("page.html", "mail")).with("templates/mail/a.txt", "")
    }),
    // Values of variables.
    ("value-missing", || {
        variable("{ type: string, description: the region to deploy to }")
    }),
    ("value-number-is-no-number", || {
        variable("{ type: number }").var("v", "ten")
    }),
    ("value-bool-is-no-bool", || variable("{ type: bool }").var("v", "yes")),
    ("value-list-is-broken", || variable("{ type: list }").var("v", "[a, b")),
    ("value-map-is-a-list", || variable("{ type: map }").var("v", "[a]")),
    ("value-none-of", || {
        variable("{ type: string, one_of: [small, large] }").var("v", "smal")
    }),
    ("value-pattern", || {
        variable("{ type: string, pattern: \"^[a-z]+$\" }").ambient("v", "Big")
    }),
    ("value-too-small", || {
        variable("{ type: number, min: 1, max: 9 }").var("v", "0")
    }),
    ("value-too-long", || {
        variable("{ type: string, max: 3 }").var("v", "abcd")
    }),
    ("value-too-few", || {
        variable("{ type: list, min: 2 }").ambient("v", "[a]")
    }),
    ("value-nan", || variable("{ type: number, min: 1 }").var("v", ".nan")),
    ("value-empty-number", || variable("{ type: number }").var("v", "")),
    ("value-bomb", || {
        variable("{ type: list }").var("v", &"[".repeat(100_000))
    }),
    ("value-unknown-name", || {
        variable("{ type: string, default: x }").var("w", "1")
    }),
    ("value-unknown-name-far", || {
        variable("{ type: string, default: x }").var("replicas", "1")
    }),
    ("value-ambient-unknown-is-fine", || {
        variable("{ type: number }").ambient("w", "1")
    }),
    ("value-sensitive-is-not-shown", || {
        variable("{ type: string, sensitive: true, pattern: \"^[a-z]+$\", one_of: [a, b] }").var("v", "HUNTER2")
    }),
    ("value-env-file", || {
        variable("{ type: number }").with("env/default.yaml", "v: ten\n")
    }),
    ("value-env-file-near-name", || {
        variable("{ type: number, default: 1 }")
            .with("env/default.yaml", "other: 1\nregion: x\n")
            .with("stacks/s/stack.yaml", "name: s\nvariables:\n  regions: { default: x }\nresources:\n  a: { type: std/value, value: [] , valeu: 1 }\n")
    }),
    ("value-env-file-is-a-list", || {
        variable("{ type: number, default: 1 }").with("env/default.yaml", "- v: 1\n")
    }),
    ("value-env-file-broken", || {
        variable("{ type: number, default: 1 }").with("env/default.yaml", "v: [1\n")
    }),
    ("value-var-file", || {
        variable("{ type: number }")
            .with("x.yaml", "v: 1\nw: 2\n")
            .var_file("x.yaml")
    }),
    ("value-var-file-missing", || {
        variable("{ type: number }").var_file("x.yaml")
    }),
    ("value-var-file-endless", || {
        variable("{ type: number }").var_file("/dev/zero")
    }),
    ("value-var-file-not-utf-8", || {
        variable("{ type: number }")
            .with("x.yaml", b"v: \xff\n")
            .var_file("x.yaml")
    }),
    ("value-var-file-wrong-type", || {
        variable("{ type: string, sensitive: true }")
            .with("x.yaml", "v: [secret]\n")
            .var_file("x.yaml")
    }),
    // The stack it stands on.
    ("on-not-deployed", || {
        Project::new("name: s\non: base\nresources:\n  a: { type: std/value, value: \"{{ on.url }}\" }\n")
    }),
];
