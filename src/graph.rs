//! Which declared resource needs which: orders, and cycles with the words that cause them. Pure.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use indexmap::IndexMap;

use crate::diagnostic::{Diagnostic, Diagnostics, Span};
use crate::stack::Resource;
use crate::stack::expr::resource_of;

/// The dependencies among declared resources, by their index in the stack.
#[derive(Debug, Default)]
pub struct Graph {
    /// What each one needs, without repetition, in ascending order.
    needs: Vec<Vec<usize>>,
    /// All of them, each after what it needs; otherwise in the order of the files.
    order: Vec<usize>,
}

impl Graph {
    /// Reads the references of all resources; cycles go to `problems`.
    #[must_use]
    pub fn of(resources: &IndexMap<Arc<str>, Resource>, problems: &mut Diagnostics) -> Self {
        let mut needs = Vec::with_capacity(resources.len());
        for resource in resources.values() {
            let mut found = BTreeSet::new();
            each_need(resource, &mut |name, _| {
                if let Some(index) = resources.get_index_of(name) {
                    found.insert(index);
                }
            });
            needs.push(found.into_iter().collect::<Vec<_>>());
        }
        let order = match order(&needs) {
            Ok(order) => order,
            Err(stuck) => {
                cycles(resources, &needs, stuck, problems);
                Vec::new()
            }
        };
        Self { needs, order }
    }

    /// Returns all resources, each after what it needs.
    #[must_use]
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// Returns what a resource needs directly.
    #[must_use]
    pub fn needs(&self, index: usize) -> &[usize] {
        &self.needs[index]
    }

    /// Returns these resources and everything they need, directly or not.
    #[must_use]
    pub fn with_needs(&self, of: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut waiting: Vec<usize> = of.into_iter().collect();
        while let Some(index) = waiting.pop() {
            if found.insert(index) {
                waiting.extend(&self.needs[index]);
            }
        }
        found
    }
}

fn each_need<'a>(resource: &'a Resource, visit: &mut impl FnMut(&'a Arc<str>, Span)) {
    let exprs = [
        Some(&resource.inputs),
        resource.for_each.as_ref(),
        resource.when.as_ref(),
    ];
    for expr in exprs.into_iter().flatten() {
        expr.references(&mut |reference, place| {
            if let Some(name) = resource_of(reference) {
                visit(name, place);
            }
        });
    }
    for address in &resource.depends_on {
        visit(&address.value.name, address.span.clone());
    }
}

/// Orders nodes after what they need, lowest index first among those that are ready.
///
/// # Errors
/// Returns the nodes that wait for each other.
fn order(needs: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut waiting: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut users = vec![Vec::new(); needs.len()];
    for (user, used) in needs.iter().enumerate() {
        for &index in used {
            users[index].push(user);
        }
    }
    let mut ready: std::collections::BinaryHeap<_> = (0..needs.len())
        .filter(|&index| waiting[index] == 0)
        .map(std::cmp::Reverse)
        .collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(std::cmp::Reverse(index)) = ready.pop() {
        order.push(index);
        for &user in &users[index] {
            waiting[user] -= 1;
            if waiting[user] == 0 {
                ready.push(std::cmp::Reverse(user));
            }
        }
    }
    if order.len() == needs.len() {
        Ok(order)
    } else {
        Err((0..needs.len()).filter(|&index| waiting[index] > 0).collect())
    }
}

/// How many circles are told of at once.
const MOST_CYCLES: usize = 8;

/// Tells of the circles among nodes that wait for each other, each by a ring that has no node of another.
fn cycles(
    resources: &IndexMap<Arc<str>, Resource>,
    needs: &[Vec<usize>],
    mut stuck: Vec<usize>,
    problems: &mut Diagnostics,
) {
    let mut broken = BTreeSet::new();
    for _ in 0..MOST_CYCLES {
        let ring = ring(needs, &stuck);
        problems.push(cycle(resources, &ring));
        broken.extend(ring);
        // As if the ring were mended: what is still stuck is in another one.
        let rest: Vec<Vec<usize>> = needs
            .iter()
            .enumerate()
            .map(|(index, needs)| {
                let mended = broken.contains(&index);
                needs
                    .iter()
                    .copied()
                    .filter(|need| !mended && !broken.contains(need))
                    .collect()
            })
            .collect();
        match order(&rest) {
            Ok(_) => return,
            Err(more) => stuck = more,
        }
    }
}

/// Finds one ring among nodes that wait for each other.
fn ring(needs: &[Vec<usize>], stuck: &[usize]) -> Vec<usize> {
    let in_play: BTreeSet<usize> = stuck.iter().copied().collect();
    let mut seen: HashMap<usize, usize> = HashMap::new();
    let mut way = Vec::new();
    let mut at = stuck[0];
    // Every stuck node needs another stuck one, so that walking on must come back.
    let start = loop {
        if let Some(&start) = seen.get(&at) {
            break start;
        }
        seen.insert(at, way.len());
        way.push(at);
        match needs[at].iter().find(|next| in_play.contains(next)) {
            Some(&next) => at = next,
            None => break 0,
        }
    };
    way.split_off(start)
}

/// Names the words that make a ring.
fn cycle(resources: &IndexMap<Arc<str>, Resource>, ring: &[usize]) -> Diagnostic {
    let name = |index: usize| resources.get_index(index).map_or("", |(name, _)| name);
    let mut names: Vec<&str> = ring.iter().map(|&index| name(index)).collect();
    names.push(names[0]);
    let shown = if names.len() > 12 {
        format!(
            "{} → … → {}",
            names[..6].join(" → "),
            names[names.len() - 5..].join(" → ")
        )
    } else {
        names.join(" → ")
    };
    let mut diagnostic = Diagnostic::error("cycle", format!("resources need each other in a circle: {shown}"))
        .help("take one of these references away, or split one of the resources in two");
    for (position, &index) in ring.iter().enumerate().take(12) {
        let next = name(ring[(position + 1) % ring.len()]);
        let Some((_, resource)) = resources.get_index(index) else {
            continue;
        };
        let mut place = None;
        each_need(resource, &mut |needed, span| {
            if place.is_none() && needed.as_ref() == next {
                place = Some(span);
            }
        });
        if let Some(place) = place {
            diagnostic = diagnostic.at(&place, format!("`{}` needs `{next}`", name(index)));
        }
    }
    diagnostic
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comes_after_what_it_needs_and_otherwise_in_file_order() {
        assert_eq!(order(&[vec![2], vec![], vec![1]]), Ok(vec![1, 2, 0]));
        assert_eq!(order(&[vec![], vec![], vec![0, 1]]), Ok(vec![0, 1, 2]));
        assert_eq!(order(&[vec![1], vec![0], vec![]]), Err(vec![0, 1]));
        assert_eq!(order(&[vec![0]]), Err(vec![0]));
    }
}
