//! Any text as `.env`; and any value that is written is read alike by us and by a POSIX shell.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wasmctl::dotenv;
use wasmctl::id::is_name;

/// What a POSIX shell makes of `NAME=WORD`; `None` where it would expand or do anything.
fn shell(line: &str) -> Option<(String, String)> {
    let (name, word) = line.split_once('=')?;
    let mut value = String::new();
    let mut chars = word.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' => loop {
                match chars.next()? {
                    '\'' => break,
                    c => value.push(c),
                }
            },
            '"' => loop {
                match chars.next()? {
                    '"' => break,
                    '$' | '`' => return None,
                    '\\' => match chars.next()? {
                        c @ ('$' | '`' | '"' | '\\') => value.push(c),
                        '\n' => {}
                        c => value.extend(['\\', c]),
                    },
                    c => value.push(c),
                }
            },
            // What a shell takes as it is, without quotes, in an assignment. A tilde it may expand.
            c if c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c) => value.push(c),
            _ => return None,
        }
    }
    Some((name.to_owned(), value))
}

fuzz_target!(|text: &str| {
    let _ = dotenv::parse(text);
    for line in text.lines() {
        let _ = dotenv::read_line(line);
    }
    let (name, value) = text.split_once('\n').unwrap_or(("A", text));
    let name = if is_name(name) { name } else { "A" };
    if let Ok(line) = dotenv::line(name, value) {
        assert!(!line.contains(['\n', '\r', '\0']), "{line:?}");
        let want = Some((name.to_owned(), value.to_owned()));
        assert_eq!(dotenv::read_line(&line), want, "{line:?}");
        assert_eq!(shell(&line), want, "{line:?}");
        let block = format!("# >>> wasmctl >>>\n{line}\n# <<< wasmctl <<<\n");
        assert_eq!(
            dotenv::parse(&block),
            Ok(Some(vec![(name.to_owned(), value.to_owned())]))
        );
    }
});
