//! Small pieces of text: durations, plurals, values, and foreign text made harmless.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::Value as Json;

/// Writes a duration as people say it: `3ms`, `1.2s`, `4m 05s`, `2h 00m`.
#[must_use]
pub fn duration(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0 if length.as_millis() < 1000 => format!("{}ms", length.as_millis()),
        0..10 => format!("{:.1}s", (length.as_secs_f64() * 10.0).floor() / 10.0),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Counts things: `1 resource`, `12 resources`, `1,200 resources`.
#[must_use]
pub fn plural(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", grouped(count))
}

/// Writes a number with a comma at each thousand.
#[must_use]
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Makes foreign text harmless: control characters and those that turn the direction of writing are
/// spelled out, so that no value of a stack or a cloud can paint the screen. Line breaks become spaces.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut cleaned = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => cleaned.push(' '),
            '\r' => {}
            '\t' => cleaned.push_str("    "),
            c if is_harmful(c) => cleaned.extend(c.escape_unicode()),
            c => cleaned.push(c),
        }
    }
    Cow::Owned(cleaned)
}

fn is_harmful(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Writes an output for people and simple scripts: a text bare, anything else as JSON.
#[must_use]
pub fn output_value(value: &Json) -> String {
    match value {
        Json::String(text) if !text.chars().any(is_harmful) => text.clone(),
        other => other.to_string(),
    }
}

/// Cuts a text to at most `limit` characters, and says that it did.
#[must_use]
pub(crate) fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    match text.char_indices().nth(limit) {
        None => Cow::Borrowed(text),
        Some(_) => {
            let end = text.char_indices().nth(limit.saturating_sub(1)).map_or(0, |(at, _)| at);
            Cow::Owned(format!("{}…", &text[..end]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_short() {
        for (millis, said) in [
            (3, "3ms"),
            (999, "999ms"),
            (1_250, "1.2s"),
            (9_990, "9.9s"),
            (10_400, "10s"),
            (245_000, "4m 05s"),
            (7_200_000, "2h 00m"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), said);
        }
    }

    #[test]
    fn numbers_are_counted() {
        assert_eq!(plural(1, "step"), "1 step");
        assert_eq!(plural(0, "step"), "0 steps");
        assert_eq!(plural(1_234_567, "step"), "1,234,567 steps");
    }

    #[test]
    fn foreign_text_cannot_paint_the_screen() {
        assert_eq!(clean("plain"), "plain");
        assert_eq!(clean("a\x1b[2Jb\nc"), "a\\u{1b}[2Jb c");
        assert_eq!(clean("a\u{202e}b"), "a\\u{202e}b");
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdefg", 6), "abcde…");
    }
}
