//! The difference between two texts, line by line.

/// A line of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// In both.
    Same(&'a str),
    /// Only in the old text.
    Gone(&'a str),
    /// Only in the new text.
    New(&'a str),
    /// So many lines in both, left out.
    Hidden(usize),
}

/// Lines shown around a change.
const CONTEXT: usize = 2;
/// A table larger than this is not worth a smaller difference.
const CELLS_MAX: usize = 250_000;

/// Compares two texts. Lines far from any change are hidden.
pub(crate) fn compare<'a>(old: &'a str, new: &'a str) -> Vec<Line<'a>> {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let head = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let tail = old[head..]
        .iter()
        .rev()
        .zip(new[head..].iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let mut all: Vec<Line<'a>> = old[..head].iter().map(|line| Line::Same(line)).collect();
    middle(&old[head..old.len() - tail], &new[head..new.len() - tail], &mut all);
    all.extend(old[old.len() - tail..].iter().map(|line| Line::Same(line)));
    hide(&all)
}

/// The longest common subsequence of what differs.
fn middle<'a>(old: &[&'a str], new: &[&'a str], into: &mut Vec<Line<'a>>) {
    let (rows, columns) = (old.len(), new.len());
    if rows.saturating_mul(columns) > CELLS_MAX {
        into.extend(old.iter().map(|line| Line::Gone(line)));
        into.extend(new.iter().map(|line| Line::New(line)));
        return;
    }
    let at = |row: usize, column: usize| row * (columns + 1) + column;
    let mut longest = vec![0_u32; (rows + 1) * (columns + 1)];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            longest[at(row, column)] = if old[row] == new[column] {
                longest[at(row + 1, column + 1)] + 1
            } else {
                longest[at(row + 1, column)].max(longest[at(row, column + 1)])
            };
        }
    }
    let (mut row, mut column) = (0, 0);
    while row < rows && column < columns {
        if old[row] == new[column] {
            into.push(Line::Same(old[row]));
            (row, column) = (row + 1, column + 1);
        } else if longest[at(row + 1, column)] >= longest[at(row, column + 1)] {
            into.push(Line::Gone(old[row]));
            row += 1;
        } else {
            into.push(Line::New(new[column]));
            column += 1;
        }
    }
    into.extend(old[row..].iter().map(|line| Line::Gone(line)));
    into.extend(new[column..].iter().map(|line| Line::New(line)));
}

fn hide<'a>(all: &[Line<'a>]) -> Vec<Line<'a>> {
    let mut near = vec![false; all.len()];
    for (index, line) in all.iter().enumerate() {
        if !matches!(line, Line::Same(_)) {
            let (from, to) = (index.saturating_sub(CONTEXT), (index + CONTEXT + 1).min(all.len()));
            near[from..to].fill(true);
        }
    }
    let mut shown = Vec::new();
    for (line, near) in all.iter().zip(near) {
        match (near, shown.last_mut()) {
            (true, _) => shown.push(*line),
            (false, Some(Line::Hidden(count))) => *count += 1,
            (false, _) => shown.push(Line::Hidden(1)),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_shown() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh";
        let new = "a\nb\nc\nd\nE\nf\ng\nh";
        assert_eq!(
            compare(old, new),
            [
                Line::Hidden(2),
                Line::Same("c"),
                Line::Same("d"),
                Line::Gone("e"),
                Line::New("E"),
                Line::Same("f"),
                Line::Same("g"),
                Line::Hidden(1),
            ]
        );
        assert_eq!(compare("a", "a\nb"), [Line::Same("a"), Line::New("b")]);
        assert_eq!(compare("", "b"), [Line::New("b")]);
    }

    #[test]
    fn two_large_texts_are_compared_in_no_time() {
        let old = "a\n".repeat(5_000);
        let new = "b\n".repeat(5_000);
        assert_eq!(compare(&old, &new).len(), 10_000);
    }
}
