//! Where everything of a picture goes: rows from the longest path, an order with few crossings,
//! places close to what a thing is connected with. Pure, and bounded for large pictures.

use std::collections::{BTreeMap, HashSet};

/// Sizes, in pixels.
pub(super) const CARD_HEIGHT: f64 = 58.0;
const GAP_X: f64 = 26.0;
const GAP_Y: f64 = 58.0;
const LANE: f64 = 8.0;
const LANE_GAP: f64 = 12.0;
const COLUMN_GAP: f64 = 64.0;
/// More rows than this are folded into columns.
const ROWS_MAX: usize = 14;
/// Beyond so many lanes, arrows go straight through.
const LANES_MAX: usize = 6_000;
/// Beyond so many arrows, crossings are not counted.
const COUNTED_MAX: usize = 1_500;

/// What is to be laid out: items 0.., and arrows (from, to) between them.
pub(super) struct Plan<'a> {
    pub(super) items: usize,
    pub(super) arrows: &'a [(usize, usize)],
    /// Items from this one on stand at the end.
    pub(super) last_from: usize,
    /// What keeps items together where nothing else decides.
    pub(super) group: &'a [usize],
    pub(super) card_width: f64,
}

/// Where everything is.
pub(super) struct Laid {
    /// The centre of each item.
    pub(super) at: Vec<(f64, f64)>,
    /// Each arrow, as an SVG path.
    pub(super) paths: Vec<String>,
    /// Each layer: left, top, width, height, items.
    pub(super) bands: Vec<Band>,
    pub(super) width: f64,
    pub(super) height: f64,
}

pub(super) struct Band {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) items: Vec<usize>,
}

/// Lays out.
pub(super) fn lay(plan: &Plan<'_>) -> Laid {
    let layers = layers(plan);
    let per_row = ((plan.items as f64 * 0.8).sqrt().round() as usize).clamp(4, 8);
    let mut rows: Vec<Vec<usize>> = Vec::new();
    let mut layer_of_row = Vec::new();
    for (layer, mut items) in layers.into_iter().enumerate() {
        items.sort_by_key(|item| (plan.group[*item], *item));
        let count = items.len().div_ceil(per_row).max(1);
        let size = items.len().div_ceil(count).max(1);
        for chunk in items.chunks(size) {
            rows.push(chunk.to_vec());
            layer_of_row.push(layer);
        }
    }
    let columns = columns(&rows, plan.card_width);
    let rows_per_column = rows.len().div_ceil(columns).max(1);
    let mut grid = Grid::new(plan, rows, rows_per_column);
    grid.order();
    grid.place();
    grid.finish(&layer_of_row)
}

/// Folds a tall and narrow picture, such as a chain, until it is at most twice as high as wide.
fn columns(rows: &[Vec<usize>], card_width: f64) -> usize {
    let widest = rows.iter().map(Vec::len).max().unwrap_or(1) as f64 * (card_width + GAP_X) + COLUMN_GAP;
    let row = CARD_HEIGHT + GAP_Y;
    let most = rows.len().div_ceil(ROWS_MAX).max(1);
    (1..most)
        .find(|columns| rows.len().div_ceil(*columns) as f64 * row <= 2.0 * widest * *columns as f64)
        .unwrap_or(most)
}

/// Puts each item below all it needs; then close to what needs it, where that makes arrows shorter.
fn layers(plan: &Plan<'_>) -> Vec<Vec<usize>> {
    let count = plan.items;
    let (mut below, mut above) = (vec![Vec::new(); count], vec![Vec::new(); count]);
    for &(from, to) in plan.arrows {
        below[from].push(to);
        above[to].push(from);
    }
    let mut waits: Vec<usize> = above.iter().map(Vec::len).collect();
    let mut ready: Vec<usize> = (0..count).filter(|item| waits[*item] == 0).collect();
    let (mut layer, mut order) = (vec![0_usize; count], Vec::with_capacity(count));
    while let Some(item) = ready.pop() {
        order.push(item);
        for &next in &below[item] {
            layer[next] = layer[next].max(layer[item] + 1);
            waits[next] -= 1;
            if waits[next] == 0 {
                ready.push(next);
            }
        }
    }
    for &item in order.iter().rev() {
        if let Some(nearest) = below[item]
            .iter()
            .filter(|to| **to < plan.last_from)
            .map(|to| layer[*to])
            .min()
            && above[item].len() < below[item].len().min(2)
        {
            layer[item] = layer[item].max(nearest.saturating_sub(1));
        }
    }
    let deepest = (0..plan.last_from).map(|item| layer[item]).max().unwrap_or(0);
    layer[plan.last_from..].fill(deepest + 1);
    let mut layers = vec![Vec::new(); deepest + 2];
    for (item, layer) in layer.into_iter().enumerate() {
        layers[layer].push(item);
    }
    layers.retain(|items| !items.is_empty());
    layers
}

/// Rows of slots: items first, then lanes through which long arrows pass a row.
struct Grid<'a> {
    plan: &'a Plan<'a>,
    rows: Vec<Vec<usize>>,
    row_of: Vec<usize>,
    rows_per_column: usize,
    /// For each slot, the slots in the row above and below that it is joined with.
    up: Vec<Vec<usize>>,
    down: Vec<Vec<usize>>,
    /// The lane of an arrow's source in a row.
    lanes: BTreeMap<(usize, usize), usize>,
    x: Vec<f64>,
}

impl<'a> Grid<'a> {
    fn new(plan: &'a Plan<'a>, rows: Vec<Vec<usize>>, rows_per_column: usize) -> Self {
        let mut row_of = vec![0; plan.items];
        for (row, items) in rows.iter().enumerate() {
            for item in items {
                row_of[*item] = row;
            }
        }
        let mut grid = Self {
            plan,
            rows,
            row_of,
            rows_per_column,
            up: vec![Vec::new(); plan.items],
            down: vec![Vec::new(); plan.items],
            lanes: BTreeMap::new(),
            x: Vec::new(),
        };
        let length: usize = plan
            .arrows
            .iter()
            .map(|(from, to)| grid.row_of[*to].saturating_sub(grid.row_of[*from]))
            .sum();
        for &(from, to) in plan.arrows {
            let (first, last) = (grid.row_of[from], grid.row_of[to]);
            if last <= first || grid.column(first) != grid.column(last) || length > LANES_MAX {
                continue;
            }
            let mut above = from;
            for row in first + 1..last {
                // Arrows from one source share their way until they part.
                above = match grid.lanes.get(&(from, row)) {
                    Some(lane) => *lane,
                    None => grid.lane(from, row, above),
                };
            }
            grid.join(above, to);
        }
        grid
    }

    fn lane(&mut self, from: usize, row: usize, above: usize) -> usize {
        let slot = self.up.len();
        self.up.push(Vec::new());
        self.down.push(Vec::new());
        self.row_of.push(row);
        self.rows[row].push(slot);
        self.lanes.insert((from, row), slot);
        self.join(above, slot);
        slot
    }

    fn join(&mut self, above: usize, below: usize) {
        self.down[above].push(below);
        self.up[below].push(above);
    }

    fn column(&self, row: usize) -> usize {
        row / self.rows_per_column
    }

    /// Sweeps down and up, each slot to the middle of its neighbours, and keeps the best order seen.
    fn order(&mut self) {
        let joins: usize = self.down.iter().map(Vec::len).sum();
        let counts = joins <= COUNTED_MAX;
        let mut best = (usize::MAX, self.rows.clone());
        for sweep in 0..if counts { 24 } else { 6 } {
            let downwards = sweep % 2 == 0;
            let mut order = vec![0.0; self.up.len()];
            let rows: Vec<usize> = if downwards {
                (0..self.rows.len()).collect()
            } else {
                (0..self.rows.len()).rev().collect()
            };
            for row in rows {
                let width = self.rows[row].len().max(1) as f64;
                let mut keyed: Vec<(f64, usize)> = Vec::with_capacity(self.rows[row].len());
                for (index, slot) in self.rows[row].iter().enumerate() {
                    let near = if downwards { &self.up[*slot] } else { &self.down[*slot] };
                    let own = (index as f64 + 0.5) / width;
                    let key = if near.is_empty() {
                        own
                    } else {
                        near.iter().map(|other| order[*other]).sum::<f64>() / near.len() as f64
                    };
                    keyed.push((key, *slot));
                }
                keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
                for (index, (_, slot)) in keyed.iter().enumerate() {
                    order[*slot] = (index as f64 + 0.5) / width;
                }
                self.rows[row] = keyed.into_iter().map(|(_, slot)| slot).collect();
            }
            let crossings = if counts {
                self.crossings()
            } else {
                usize::MAX - 1 - sweep
            };
            if crossings < best.0 {
                best = (crossings, self.rows.clone());
            }
        }
        self.rows = best.1;
    }

    fn crossings(&self) -> usize {
        let mut place = vec![0; self.up.len()];
        for row in &self.rows {
            for (index, slot) in row.iter().enumerate() {
                place[*slot] = index;
            }
        }
        let mut crossings = 0;
        for row in &self.rows {
            let joins: Vec<(usize, usize)> = row
                .iter()
                .flat_map(|slot| self.down[*slot].iter().map(|below| (place[*slot], place[*below])))
                .collect();
            for (index, a) in joins.iter().enumerate() {
                crossings += joins[index + 1..]
                    .iter()
                    .filter(|b| (a.0 < b.0 && a.1 > b.1) || (a.0 > b.0 && a.1 < b.1))
                    .count();
            }
        }
        crossings
    }

    fn width(&self, slot: usize) -> f64 {
        if slot < self.plan.items {
            self.plan.card_width
        } else {
            LANE
        }
    }

    /// The distance between the centres of two neighbours in a row.
    fn apart(&self, left: usize, right: usize) -> f64 {
        let both_cards = left.max(right) < self.plan.items;
        (self.width(left) + self.width(right)) / 2.0 + if both_cards { GAP_X } else { LANE_GAP }
    }

    /// Moves each slot to the mean of its neighbours as far as its row's order and widths allow.
    fn place(&mut self) {
        self.x = vec![0.0; self.up.len()];
        let mut widest = 0.0_f64;
        for row in &self.rows {
            let steps: Vec<f64> = row.windows(2).map(|pair| self.apart(pair[0], pair[1])).collect();
            let total: f64 = steps.iter().sum();
            widest = widest.max(total);
            let mut x = -total / 2.0;
            for (index, slot) in row.iter().enumerate() {
                self.x[*slot] = x;
                x += steps.get(index).copied().unwrap_or_default();
            }
        }
        for pass in 0..40 {
            let rows: Vec<usize> = if pass % 2 == 0 {
                (0..self.rows.len()).collect()
            } else {
                (0..self.rows.len()).rev().collect()
            };
            for row in rows {
                self.settle(row, pass < 30, widest * 0.5);
            }
        }
        self.shift();
    }

    fn settle(&mut self, row: usize, both: bool, reach: f64) {
        let slots = &self.rows[row];
        let mut offset = 0.0;
        let mut wanted = Vec::with_capacity(slots.len());
        for (index, slot) in slots.iter().enumerate() {
            if index > 0 {
                offset += self.apart(slots[index - 1], *slot);
            }
            let near = self.up[*slot].iter().chain(if both || self.up[*slot].is_empty() {
                self.down[*slot].iter()
            } else {
                [].iter()
            });
            let (sum, count) = near.fold((0.0, 0.0), |(sum, count), other| {
                // A lane pulls a lane straight.
                let weight = if *slot >= self.plan.items && *other >= self.plan.items {
                    4.0
                } else {
                    1.0
                };
                (sum + weight * self.x[*other], count + weight)
            });
            let want = if count > 0.0 { sum / count } else { self.x[*slot] };
            wanted.push((want - offset, offset));
        }
        // Pool adjacent violators: the closest places that keep the order.
        let mut pools: Vec<(f64, usize)> = Vec::new();
        for (want, _) in &wanted {
            let mut pool = (*want, 1);
            while let Some(last) = pools.last().copied().filter(|last| last.0 > pool.0) {
                let count = last.1 + pool.1;
                pool = ((last.0 * last.1 as f64 + pool.0 * pool.1 as f64) / count as f64, count);
                pools.pop();
            }
            pools.push(pool);
        }
        // Within reach of the middle, so that a picture does not grow wider than its widest row.
        let (low, high) = (-reach, (reach - offset).max(-reach));
        let places = pools
            .iter()
            .flat_map(|(place, count)| std::iter::repeat_n(place.clamp(low, high), *count));
        for ((slot, place), (_, offset)) in slots.clone().into_iter().zip(places).zip(&wanted) {
            self.x[slot] = place + offset;
        }
    }

    /// Puts the columns of rows side by side, from zero.
    fn shift(&mut self) {
        let mut left = 0.0;
        for column in 0..self.column(self.rows.len().saturating_sub(1)) + 1 {
            let slots: Vec<usize> = self
                .rows
                .iter()
                .enumerate()
                .filter(|(row, _)| row / self.rows_per_column == column)
                .flat_map(|(_, slots)| slots.iter().copied())
                .collect();
            let edge = |sign: f64| slots.iter().map(move |slot| (*slot, sign));
            let low = edge(-1.0)
                .map(|(slot, sign)| self.x[slot] + sign * self.width(slot) / 2.0)
                .fold(f64::MAX, f64::min);
            let high = edge(1.0)
                .map(|(slot, sign)| self.x[slot] + sign * self.width(slot) / 2.0)
                .fold(f64::MIN, f64::max);
            for slot in &slots {
                self.x[*slot] += left - low;
            }
            left += high - low + COLUMN_GAP;
        }
    }

    fn y(&self, row: usize) -> f64 {
        (row % self.rows_per_column) as f64 * (CARD_HEIGHT + GAP_Y) + CARD_HEIGHT / 2.0
    }

    fn finish(self, layer_of_row: &[usize]) -> Laid {
        let items = self.plan.items;
        let at: Vec<(f64, f64)> = (0..items)
            .map(|item| (self.x[item], self.y(self.row_of[item])))
            .collect();
        let columns = self.column(self.rows.len().saturating_sub(1)) + 1;
        let spans: Vec<(f64, f64)> = (0..columns)
            .map(|column| {
                (0..self.x.len())
                    .filter(|slot| self.column(self.row_of[*slot]) == column)
                    .fold((f64::MAX, f64::MIN), |(low, high), slot| {
                        let half = self.width(slot) / 2.0;
                        (low.min(self.x[slot] - half), high.max(self.x[slot] + half))
                    })
            })
            .collect();
        let mut bands: Vec<(usize, usize, Band)> = Vec::new();
        for (row, slots) in self.rows.iter().enumerate() {
            let (layer, column) = (layer_of_row[row], self.column(row));
            let cards = slots.iter().copied().filter(|slot| *slot < items);
            let bottom = self.y(row) + CARD_HEIGHT / 2.0;
            match bands.last_mut() {
                Some((last, at, band)) if *last == layer && *at == column => {
                    band.height = bottom - band.y;
                    band.items.extend(cards);
                }
                _ => bands.push((
                    layer,
                    column,
                    Band {
                        x: spans[column].0,
                        y: bottom - CARD_HEIGHT,
                        width: spans[column].1 - spans[column].0,
                        height: CARD_HEIGHT,
                        items: cards.collect(),
                    },
                )),
            }
        }
        let paths = self.paths(&spans);
        let rows = self.rows.len().min(self.rows_per_column);
        Laid {
            at,
            paths,
            bands: bands.into_iter().map(|(_, _, band)| band).collect(),
            width: spans.last().map_or(0.0, |span| span.1),
            height: rows as f64 * (CARD_HEIGHT + GAP_Y) - GAP_Y,
        }
    }

    fn paths(&self, spans: &[(f64, f64)]) -> Vec<String> {
        let entries = self.entries();
        let half = CARD_HEIGHT / 2.0;
        self.plan
            .arrows
            .iter()
            .enumerate()
            .map(|(index, &(from, to))| {
                let (first, last) = (self.row_of[from], self.row_of[to]);
                let (start, end) = (
                    (self.x[from], self.y(first) + half),
                    (self.x[to] + entries[index], self.y(last) - half - 3.0),
                );
                if self.column(first) != self.column(last) || last <= first {
                    return around(start, end, spans[self.column(last)].0 - COLUMN_GAP / 2.0);
                }
                let mut path = format!("M{:.1} {:.1}", start.0, start.1);
                let mut point = start;
                for row in first + 1..last {
                    if let Some(lane) = self.lanes.get(&(from, row)) {
                        let top = (self.x[*lane], self.y(row) - half);
                        bend(&mut path, point, top);
                        point = (top.0, top.1 + CARD_HEIGHT);
                        path.push_str(&format!(" V{:.1}", point.1));
                    }
                }
                bend(&mut path, point, end);
                path
            })
            .collect()
    }

    /// Where each arrow enters its card, from the middle: those from the left further left.
    fn entries(&self) -> Vec<f64> {
        let mut into: Vec<Vec<usize>> = vec![Vec::new(); self.plan.items];
        for (index, (_, to)) in self.plan.arrows.iter().enumerate() {
            into[*to].push(index);
        }
        let mut entries = vec![0.0; self.plan.arrows.len()];
        for (to, mut arrows) in into.into_iter().enumerate() {
            let row = self.row_of[to];
            let came_from = |arrow: &usize| {
                let from = self.plan.arrows[*arrow].0;
                let slot = row.checked_sub(1).and_then(|above| self.lanes.get(&(from, above)));
                self.x[slot.copied().unwrap_or(from)]
            };
            arrows.sort_by(|a, b| came_from(a).total_cmp(&came_from(b)));
            let step = (self.plan.card_width * 0.6 / arrows.len() as f64).min(18.0);
            let middle = (arrows.len() as f64 - 1.0) / 2.0;
            for (place, arrow) in arrows.into_iter().enumerate() {
                entries[arrow] = (place as f64 - middle) * step;
            }
        }
        entries
    }
}

fn bend(path: &mut String, from: (f64, f64), to: (f64, f64)) {
    use std::fmt::Write as _;
    let middle = (to.1 - from.1) * 0.55;
    let _ = write!(
        path,
        " C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}",
        from.0,
        from.1 + middle,
        to.0,
        to.1 - middle,
        to.0,
        to.1
    );
}

/// An arrow to another column: along the free space below its row, between the columns, above the other row.
fn around(from: (f64, f64), to: (f64, f64), gutter: f64) -> String {
    let (low, high) = (from.1 + GAP_Y * 0.3, to.1 - GAP_Y * 0.3);
    let corner = 10.0;
    let turn = |at: f64, towards: f64| at + corner * (towards - at).signum();
    let mut path = format!("M{:.1} {:.1} V{:.1}", from.0, from.1, low - corner);
    for (a, b) in [
        ((from.0, low), (turn(from.0, gutter), low)),
        ((gutter, low), (gutter, turn(low, high))),
        ((gutter, high), (turn(gutter, to.0), high)),
        ((to.0, high), (to.0, high + corner)),
    ] {
        // To the corner, then round it.
        let before = match (a.0 - b.0).abs() > 0.01 {
            true => format!(
                " L{:.1} {:.1}",
                a.0,
                a.1 + if a.1 == low {
                    -corner
                } else {
                    corner * (low - high).signum()
                }
            ),
            false => format!(
                " L{:.1} {:.1}",
                a.0 - corner * (a.0 - if a.1 == low { from.0 } else { gutter }).signum(),
                a.1
            ),
        };
        path.push_str(&before);
        path.push_str(&format!(" Q{:.1} {:.1} {:.1} {:.1}", a.0, a.1, b.0, b.1));
    }
    path.push_str(&format!(" L{:.1} {:.1}", to.0, to.1));
    path
}

/// Finds arrows that other arrows already imply. Empty for very large pictures.
pub(super) fn implied(items: usize, arrows: &[(usize, usize)]) -> HashSet<usize> {
    if items > 1_500 || arrows.len() > 6_000 {
        return HashSet::new();
    }
    let mut below = vec![Vec::new(); items];
    for &(from, to) in arrows {
        below[from].push(to);
    }
    let reaches = |start: usize, goal: usize| {
        let mut seen = vec![false; items];
        let mut open: Vec<usize> = below[start].iter().copied().filter(|next| *next != goal).collect();
        while let Some(item) = open.pop() {
            if item == goal {
                return true;
            }
            if !std::mem::replace(&mut seen[item], true) {
                open.extend(&below[item]);
            }
        }
        false
    };
    (0..arrows.len())
        .filter(|index| reaches(arrows[*index].0, arrows[*index].1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid(items: usize, arrows: &[(usize, usize)]) -> Laid {
        let group = vec![0; items];
        lay(&Plan {
            items,
            arrows,
            last_from: items,
            group: &group,
            card_width: 100.0,
        })
    }

    #[test]
    fn what_is_needed_stands_above() {
        let arrows = [(0, 1), (1, 2), (1, 3), (2, 4), (3, 4), (0, 4)];
        let laid = laid(5, &arrows);
        for (from, to) in arrows {
            assert!(laid.at[from].1 < laid.at[to].1);
        }
        assert_eq!(implied(5, &arrows), HashSet::from([5]));
    }

    #[test]
    fn cards_never_overlap() {
        let arrows: Vec<(usize, usize)> = (1..120).map(|item| (item / 3, item)).collect();
        let laid = laid(120, &arrows);
        for (index, a) in laid.at.iter().enumerate() {
            for b in &laid.at[index + 1..] {
                assert!((a.0 - b.0).abs() >= 99.0 || (a.1 - b.1).abs() >= CARD_HEIGHT);
            }
        }
    }

    #[test]
    fn a_long_chain_is_folded() {
        let arrows: Vec<(usize, usize)> = (1..60).map(|item| (item - 1, item)).collect();
        let laid = laid(60, &arrows);
        assert!(
            laid.height < 2_000.0 && laid.width < 2_000.0,
            "{} {}",
            laid.width,
            laid.height
        );
    }

    #[test]
    fn a_cycle_and_a_crowd_end() {
        assert_eq!(laid(2, &[(0, 1), (1, 0)]).at.len(), 2);
        let arrows: Vec<(usize, usize)> = (0..4_000).map(|item| (item % 50, 50 + item % 900)).collect();
        assert_eq!(laid(950, &arrows).at.len(), 950);
    }
}
