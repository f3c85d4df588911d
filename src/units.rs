//! Sizes and spans of time as people write them: `256MiB`, `30s`.

use std::time::Duration;

/// Reads a size such as `64KiB`, `256MiB`, `1GiB`, `500kB` or a plain number of bytes.
///
/// # Errors
/// Says what was expected when the text is something else or does not fit into 64 bits.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" | "ki" => 1 << 10,
        "m" | "mib" | "mi" => 1 << 20,
        "g" | "gib" | "gi" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => {
            return Err(format!(
                "`{text}` is not a size: write for example 64KiB, 256MiB or 1GiB"
            ));
        }
    };
    let number: u64 = number
        .parse()
        .map_err(|_| format!("`{text}` is not a size: write for example 64KiB, 256MiB or 1GiB"))?;
    number
        .checked_mul(factor)
        .ok_or_else(|| format!("`{text}` is more bytes than fit into 64 bits"))
}

/// Reads a span of time such as `500ms`, `30s`, `2m` or `1h30m`; a plain number is seconds; at most ten years.
///
/// # Errors
/// Says what was expected when the text is something else.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a span of time: write for example 500ms, 30s or 2m");
    let bare = text.trim();
    let duration = match bare.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?,
        Err(_) => {
            let signed: jiff::SignedDuration = bare.parse().map_err(|_| wrong())?;
            Duration::try_from(signed).map_err(|_| wrong())?
        }
    };
    // A deadline further away than this cannot be told apart from none, and clocks overflow at it.
    if duration > LONGEST { Err(wrong()) } else { Ok(duration) }
}

/// The longest span of time that can be waited for: ten years.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Writes a size the way [`parse_size`] reads it, in the largest unit that fits.
#[must_use]
pub fn size(bytes: u64) -> String {
    for (unit, name) in [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit {
            return if bytes.is_multiple_of(unit) {
                format!("{}{name}", bytes / unit)
            } else {
                #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
                let amount = bytes as f64 / unit as f64;
                format!("{amount:.1}{name}")
            };
        }
    }
    format!("{bytes}B")
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1", 1),
            ("64KiB", 65_536),
            ("256MiB", 256 << 20),
            ("1GiB", 1 << 30),
            ("5kB", 5_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "12 apples", "-1", "99999999999GiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert_eq!(size(256 << 20), "256MiB");
        assert_eq!(size(1536), "1.5KiB");
        assert_eq!(size(12), "12B");
    }

    #[test]
    fn durations() {
        for (text, ms) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("2m", 120_000),
            ("1.5", 1_500),
            ("1h", 3_600_000),
            ("1h30m", 5_400_000),
            (" 1m 5s ", 65_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in [
            "", "s", "soon", "1 week", "-3s", "inf", "nan", "1h30", "1h-1m", "90000h",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
