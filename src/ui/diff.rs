//! A plan for people: what is done to which resource, field by field, and why.
//!
//! Everything is readable without colour: each action starts with its sign, as in `~ app`.
//! Actions are written one by one, so that a plan of 100,000 costs no more memory than one.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value as Json;

use super::lines::{Line, compare};
use super::text::{cut, grouped};
use super::{Look, Paint, clean, plural};
use crate::plan::{Action, Counts, FieldChange, Shown, Verb};

/// Characters of a value that are shown.
const VALUE_MAX: usize = 72;
/// Lines of a text's difference that are shown.
const LINES_MAX: usize = 40;

/// Which fields are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// One line an action.
    Names,
    /// Also the fields that change.
    Fields,
}

/// Writes the actions of a plan and what it comes to. Kept resources are counted, not listed.
///
/// # Errors
/// Fails when the writer does.
pub fn write_plan<'a>(
    to: &mut impl Write,
    actions: impl IntoIterator<Item = &'a Action>,
    counts: &Counts,
    detail: Detail,
    look: Look,
) -> io::Result<()> {
    let mut any = false;
    for action in actions {
        if action.verb == Verb::Keep && action.drift.is_empty() {
            continue;
        }
        any = true;
        write_action(to, action, detail, look)?;
    }
    if any {
        writeln!(to)?;
    }
    writeln!(to, "{}", look.paint.bold(summary(counts)))
}

/// Says in one line what a plan comes to.
#[must_use]
pub fn summary(counts: &Counts) -> String {
    let parts: Vec<String> = [
        (counts.create, "to create"),
        (counts.update, "to update"),
        (counts.replace, "to replace"),
        (counts.delete, "to delete"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{} {what}", grouped(count)))
    .collect();
    match (parts.is_empty(), counts.keep) {
        (true, 0) => "No changes. There is nothing to do.".to_owned(),
        (true, 1) => "No changes. 1 resource is as it should be.".to_owned(),
        (true, keep) => format!("No changes. {} are as they should be.", plural(keep, "resource")),
        (false, 0) => format!("Plan: {}.", parts.join(", ")),
        (false, keep) => format!("Plan: {}, {} unchanged.", parts.join(", "), grouped(keep)),
    }
}

fn sign(action: &Action) -> &'static str {
    match (action.verb, action.create_first) {
        (Verb::Keep, _) => "   ",
        (Verb::Create, _) => "  +",
        (Verb::Update, _) => "  ~",
        (Verb::Replace, false) => "-/+",
        (Verb::Replace, true) => "+/-",
        (Verb::Delete, _) => "  -",
    }
}

fn write_action(to: &mut impl Write, action: &Action, detail: Detail, look: Look) -> io::Result<()> {
    let paint = look.paint;
    let sign = sign(action);
    match action.verb {
        Verb::Keep => write!(to, "{sign}")?,
        Verb::Create => write!(to, "{}", paint.green(sign))?,
        Verb::Update => write!(to, "{}", paint.yellow(sign))?,
        Verb::Replace => write!(to, "{}", paint.magenta(sign))?,
        Verb::Delete => write!(to, "{}", paint.red(sign))?,
    }
    write!(
        to,
        " {}  {}",
        paint.bold(clean(&action.resource.to_string())),
        paint.dim(&action.kind)
    )?;
    match (&action.because, action.verb) {
        (Some(because), _) => writeln!(to, "  ({})", clean(because))?,
        (None, Verb::Keep) => writeln!(to, "  (kept as it is)")?,
        (None, _) => writeln!(to)?,
    }
    // What is put back as it was is said once.
    let is_back = |drift: &FieldChange, change: &FieldChange| {
        !change.replaces && change.path == drift.path && change.before == drift.after && change.after == drift.before
    };
    let put_back = |drift: &FieldChange| action.changes.iter().any(|change| is_back(drift, change));
    for drift in &action.drift {
        let lead = match put_back(drift) {
            true => "changed outside wasmctl, to be put back: ",
            false => "changed outside wasmctl: ",
        };
        write_change(to, drift, look, lead)?;
    }
    if detail == Detail::Fields && action.verb != Verb::Delete {
        let told = |change: &&FieldChange| action.drift.iter().any(|drift| is_back(drift, change));
        for change in action
            .changes
            .iter()
            .filter(|change| says_something(change) && !told(change))
        {
            write_change(to, change, look, "")?;
        }
    }
    Ok(())
}

/// Whether a field of a new object is worth a line: nothing in it is the same as none of it.
fn says_something(change: &FieldChange) -> bool {
    let nothing = match &change.after {
        Shown::Known(Json::Null) => true,
        Shown::Known(Json::Array(items)) => items.is_empty(),
        Shown::Known(Json::Object(entries)) => entries.is_empty(),
        _ => false,
    };
    change.before != Shown::Absent || !nothing
}

fn write_change(to: &mut impl Write, change: &FieldChange, look: Look, lead: &str) -> io::Result<()> {
    let paint = look.paint;
    let arrow = if look.unicode { "→" } else { "->" };
    let forces = match change.replaces {
        true => paint.magenta("  # forces replacement"),
        false => Paint::PLAIN.magenta(""),
    };
    let lead = match lead {
        "" => Paint::PLAIN.yellow(""),
        lead => paint.yellow(lead),
    };
    write!(to, "      {lead}{}:", clean(&change.path))?;
    match (&change.before, &change.after) {
        (Shown::Known(Json::String(before)), Shown::Known(Json::String(after)))
            if before.lines().nth(1).is_some() || after.lines().nth(1).is_some() =>
        {
            writeln!(to, "{}", forces)?;
            write_lines(to, &compare(before, after), look)
        }
        (Shown::Absent, Shown::Known(Json::String(after))) if after.lines().nth(1).is_some() => {
            let count = after.lines().count();
            let first = after.lines().next().unwrap_or_default();
            let first = cut(first, VALUE_MAX).into_owned();
            writeln!(
                to,
                " {} and {}{}",
                Json::String(first),
                plural(count.saturating_sub(1), "more line"),
                forces
            )
        }
        (Shown::Absent, after) => writeln!(to, " {}{}", show(after), forces),
        (before, Shown::Absent) => writeln!(to, " {} {arrow} (none){}", show(before), forces),
        (before, after) => {
            let (before, after) = tell_apart(before, after);
            writeln!(to, " {before} {arrow} {after}{}", forces)
        }
    }
}

fn write_lines(to: &mut impl Write, lines: &[Line<'_>], look: Look) -> io::Result<()> {
    let paint = look.paint;
    for line in lines.iter().take(LINES_MAX) {
        match line {
            Line::Same(text) => writeln!(to, "          {}", clean(text))?,
            Line::Gone(text) => writeln!(to, "        {}", paint.red(format_args!("- {}", clean(text))))?,
            Line::New(text) => writeln!(to, "        {}", paint.green(format_args!("+ {}", clean(text))))?,
            Line::Hidden(count) => writeln!(
                to,
                "          {}",
                paint.dim(format_args!("({})", plural(*count, "unchanged line")))
            )?,
        }
    }
    match lines.len().saturating_sub(LINES_MAX) {
        0 => Ok(()),
        more => writeln!(to, "          ({} of this change)", plural(more, "more line")),
    }
}

/// Writes a value on one line, cut where it is long.
fn show(shown: &Shown) -> String {
    match shown {
        Shown::Absent => "(none)".to_owned(),
        Shown::Secret => "(sensitive)".to_owned(),
        Shown::Unknown => "(known after apply)".to_owned(),
        Shown::Known(json) => {
            let text = json.to_string();
            match text.chars().count() {
                0..=VALUE_MAX => clean(&text).into_owned(),
                length => format!("{} ({} characters)", cut(&clean(&text), VALUE_MAX), grouped(length)),
            }
        }
    }
}

/// Shows two values so that what differs is seen even where both are long and start alike.
fn tell_apart(before: &Shown, after: &Shown) -> (String, String) {
    let (shown_before, shown_after) = (show(before), show(after));
    let (Shown::Known(old), Shown::Known(new)) = (before, after) else {
        return (shown_before, shown_after);
    };
    let (old, new) = (old.to_string(), new.to_string());
    let alike = old.chars().zip(new.chars()).take_while(|(a, b)| a == b).count();
    if alike < VALUE_MAX - 8 || old == new {
        return (shown_before, shown_after);
    }
    // Starts a little before the first difference.
    let from = alike - 16;
    let tail = |text: &str| {
        let rest: String = text.chars().skip(from).collect();
        format!("…{}", cut(&clean(&rest), VALUE_MAX))
    };
    (tail(&old), tail(&new))
}

/// An action as `--json` has it.
#[derive(Serialize)]
struct ActionLine<'a> {
    event: &'static str,
    #[serde(flatten)]
    action: &'a Action,
}

/// Writes the actions of a plan as JSON, one a line: `{"event":"action","resource":…,"verb":…}`.
/// Kept resources are left out unless they drifted.
///
/// # Errors
/// Fails when the writer does.
pub fn write_json<'a>(to: &mut impl Write, actions: impl IntoIterator<Item = &'a Action>) -> io::Result<()> {
    for action in actions {
        if action.verb == Verb::Keep && action.drift.is_empty() {
            continue;
        }
        serde_json::to_writer(
            &mut *to,
            &ActionLine {
                event: "action",
                action,
            },
        )?;
        to.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::*;
    use crate::id::ResourceId;

    fn action(name: &str, verb: Verb) -> Action {
        Action {
            resource: ResourceId::plain(name),
            kind: "std/file".into(),
            verb,
            because: None,
            create_first: false,
            changes: Vec::new(),
            drift: Vec::new(),
        }
    }

    fn change(path: &str, before: Shown, after: Shown) -> FieldChange {
        FieldChange {
            path: path.to_owned(),
            before,
            after,
            replaces: false,
        }
    }

    fn known(json: Json) -> Shown {
        Shown::Known(json)
    }

    fn render(actions: &[Action], counts: Counts) -> String {
        let mut out = Vec::new();
        write_plan(&mut out, actions, &counts, Detail::Fields, Look::PLAIN).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_verb_has_its_sign_and_its_reason() {
        let actions = [
            Action {
                changes: vec![
                    change("path", Shown::Absent, known(json!("a.txt"))),
                    change("content", Shown::Absent, Shown::Unknown),
                    change("token", Shown::Absent, Shown::Secret),
                    change("text", Shown::Absent, known(json!("one\ntwo\nthree"))),
                ],
                ..action("made", Verb::Create)
            },
            Action {
                changes: vec![
                    change("mode", known(json!("0644")), known(json!("0600"))),
                    change("labels.x", known(json!(1)), Shown::Absent),
                    change("content", known(json!("a\nb\nc\n")), known(json!("a\nB\nc\n"))),
                ],
                ..action("changed", Verb::Update)
            },
            Action {
                changes: vec![FieldChange {
                    replaces: true,
                    ..change("path", known(json!("a")), Shown::Unknown)
                }],
                ..action("swapped", Verb::Replace)
            },
            Action {
                create_first: true,
                because: Some("a volume cannot shrink".to_owned()),
                ..action("first", Verb::Replace)
            },
            Action {
                because: Some("it is no longer in the stack".to_owned()),
                changes: vec![change("path", known(json!("a")), Shown::Absent)],
                ..action("gone", Verb::Delete)
            },
            Action {
                drift: vec![change("mode", known(json!("0644")), known(json!("0777")))],
                ..action("ignored", Verb::Keep)
            },
            Action {
                drift: vec![change("mode", known(json!("0644")), known(json!("0777")))],
                changes: vec![
                    change("mode", known(json!("0777")), known(json!("0644"))),
                    change("content", known(json!("a")), known(json!("b"))),
                ],
                ..action("mended", Verb::Update)
            },
            action("same", Verb::Keep),
        ];
        let counts = Counts {
            create: 1,
            update: 1,
            replace: 2,
            delete: 1,
            keep: 2,
        };
        insta::assert_snapshot!(render(&actions, counts), @r#"
          + made  std/file
              path: "a.txt"
              content: (known after apply)
              token: (sensitive)
              text: "one" and 2 more lines
          ~ changed  std/file
              mode: "0644" → "0600"
              labels.x: 1 → (none)
              content:
                  a
                - b
                + B
                  c
        -/+ swapped  std/file
              path: "a" → (known after apply)  # forces replacement
        +/- first  std/file  (a volume cannot shrink)
          - gone  std/file  (it is no longer in the stack)
            ignored  std/file  (kept as it is)
              changed outside wasmctl: mode: "0644" → "0777"
          ~ mended  std/file
              changed outside wasmctl, to be put back: mode: "0644" → "0777"
              content: "a" → "b"

        Plan: 1 to create, 1 to update, 2 to replace, 1 to delete, 2 unchanged.
        "#);
    }

    #[test]
    fn no_changes_are_said_in_one_line() {
        let counts = |keep| Counts {
            keep,
            ..Counts::default()
        };
        assert_eq!(
            render(&[], counts(12)),
            "No changes. 12 resources are as they should be.\n"
        );
        assert_eq!(render(&[], counts(1)), "No changes. 1 resource is as it should be.\n");
    }

    #[test]
    fn long_values_are_cut_around_what_differs() {
        let long = "x".repeat(500);
        let shown = tell_apart(&known(json!(format!("{long}a"))), &known(json!(format!("{long}b"))));
        assert_eq!(shown.0, format!("…{}a\"", "x".repeat(16)));
        assert_eq!(
            show(&known(json!(long))).chars().count(),
            VALUE_MAX + " (502 characters)".len()
        );
    }

    #[test]
    fn values_cannot_paint_the_screen() {
        assert!(!show(&known(json!("\u{1b}[31m\u{9b}x"))).contains(['\u{1b}', '\u{9b}']));
    }

    #[test]
    fn a_plan_of_100_000_is_written_at_once() {
        let actions = vec![
            Action {
                changes: vec![change("value", Shown::Absent, known(json!("one")))],
                ..action("made", Verb::Create)
            };
            100_000
        ];
        let start = Instant::now();
        write_plan(
            &mut io::sink(),
            &actions,
            &Counts::default(),
            Detail::Fields,
            Look::PLAIN,
        )
        .unwrap();
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }

    #[test]
    fn json_has_one_action_a_line() {
        let mut out = Vec::new();
        write_json(&mut out, &[action("made", Verb::Create), action("same", Verb::Keep)]).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"event\":\"action\",\"resource\":\"made\",\"kind\":\"std/file\",\"verb\":\"create\"}\n"
        );
    }
}
