//! Targets, and whose turn it is.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use http::HeaderValue;
use http::uri::Authority;
use tokio::sync::Notify;

use super::config::{Config, Group, Health};
use super::metrics::GroupMetrics;

/// One address that takes requests.
pub(super) struct Target {
    /// The group it answers for.
    pub(super) group: Arc<GroupInfo>,
    /// Where it listens.
    pub(super) authority: Authority,
    healthy: AtomicBool,
    in_flight: AtomicUsize,
    /// Told when the time of a target that left is over: what is still in flight on it is cut.
    pub(super) cut: Notify,
    was_cut: AtomicBool,
}

/// What all targets of a group share, kept for as long as one of them has a request in flight.
pub(super) struct GroupInfo {
    /// The name.
    pub(super) name: String,
    /// The name as the value of `x-served-by`.
    pub(super) served_by: HeaderValue,
    /// Its counters.
    pub(super) metrics: GroupMetrics,
}

/// A request on its way to a target or back; counted until it is dropped.
pub(super) struct InFlight(Arc<Target>);

impl Target {
    /// Whether requests may be sent to it.
    pub(super) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Acquire)
    }

    /// Counts the requests in flight on it.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// Whether what is in flight on it must end now.
    pub(super) fn was_cut(&self) -> bool {
        self.was_cut.load(Ordering::Acquire)
    }

    /// Ends what is still in flight on it.
    pub(super) fn cut_off(&self) {
        self.was_cut.store(true, Ordering::Release);
        self.cut.notify_waiters();
    }
}

impl InFlight {
    fn new(target: &Arc<Target>) -> Self {
        target.in_flight.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(target))
    }

    /// Returns the target.
    pub(super) fn target(&self) -> &Arc<Target> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A group as configured, with its targets.
pub(super) struct Member {
    /// Its weight.
    pub(super) weight: u32,
    /// How it is checked.
    pub(super) health: Option<Health>,
    /// What the targets share.
    pub(super) info: Arc<GroupInfo>,
    /// Its targets.
    pub(super) targets: Vec<Arc<Target>>,
}

/// All groups, and the order in which the eligible ones take their turns.
pub(super) struct Pool {
    members: Mutex<Arc<Vec<Member>>>,
    turns: RwLock<Arc<Turns>>,
    next: AtomicUsize,
}

/// The eligible targets, rebuilt on every change of health or configuration. Indexing all targets and
/// skipping the dead ones instead would double the load of a dead one's neighbour.
struct Turns {
    order: Vec<usize>,
    groups: Vec<Eligible>,
}

struct Eligible {
    targets: Vec<Arc<Target>>,
    next: AtomicUsize,
}

impl Pool {
    /// Starts without groups.
    pub(super) fn new() -> Self {
        Self {
            members: Mutex::new(Arc::new(Vec::new())),
            turns: RwLock::new(Arc::new(Turns {
                order: Vec::new(),
                groups: Vec::new(),
            })),
            next: AtomicUsize::new(0),
        }
    }

    /// Returns the groups as they are now.
    pub(super) fn members(&self) -> Arc<Vec<Member>> {
        Arc::clone(&self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Vec<Member>>> {
        // Nothing panics while the lock is held; if it did, the list itself would still be whole.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over a configuration and returns the targets that left. A target that stays keeps its
    /// health and its counters; a new one counts as healthy until it is found not to be.
    pub(super) fn configure(&self, config: &Config) -> Vec<Arc<Target>> {
        let mut members = self.lock();
        let new: Vec<Member> = config.groups.iter().map(|group| member(group, &members)).collect();
        let left = members
            .iter()
            .flat_map(|member| &member.targets)
            .filter(|old| {
                !new.iter()
                    .any(|member| member.targets.iter().any(|target| Arc::ptr_eq(target, old)))
            })
            .cloned()
            .collect();
        *members = Arc::new(new);
        self.rebuild(&members);
        left
    }

    /// Records whether a target is healthy; returns whether that is news.
    pub(super) fn set_healthy(&self, target: &Target, healthy: bool) -> bool {
        let members = self.lock();
        let news = target.healthy.swap(healthy, Ordering::AcqRel) != healthy;
        if news {
            self.rebuild(&members);
        }
        news
    }

    fn rebuild(&self, members: &[Member]) {
        let mut weights = Vec::new();
        let mut groups = Vec::new();
        for member in members.iter().filter(|member| member.weight > 0) {
            let targets: Vec<_> = member.targets.iter().filter(|t| t.is_healthy()).cloned().collect();
            if !targets.is_empty() {
                weights.push(member.weight);
                groups.push(Eligible {
                    targets,
                    next: AtomicUsize::new(0),
                });
            }
        }
        let turns = Arc::new(Turns {
            order: smooth(&weights),
            groups,
        });
        *self.turns.write().unwrap_or_else(PoisonError::into_inner) = turns;
    }

    fn turns(&self) -> Arc<Turns> {
        Arc::clone(&self.turns.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes the next turn; `None` when no target is eligible.
    pub(super) fn pick(&self) -> Option<InFlight> {
        let turns = self.turns();
        if turns.order.is_empty() {
            return None;
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % turns.order.len();
        turns.take(turns.order[turn], None)
    }

    /// Finds a target other than `tried`, out of turn: the distribution of first tries stays exact.
    pub(super) fn pick_other(&self, tried: &Target) -> Option<InFlight> {
        let turns = self.turns();
        let start = self.next.load(Ordering::Relaxed);
        (0..turns.order.len()).find_map(|step| {
            let group = turns.order[start.wrapping_add(step) % turns.order.len()];
            turns.take(group, Some(tried))
        })
    }
}

impl Turns {
    fn take(&self, group: usize, not: Option<&Target>) -> Option<InFlight> {
        let group = &self.groups[group];
        let start = group.next.fetch_add(1, Ordering::Relaxed);
        (0..group.targets.len())
            .map(|step| &group.targets[start.wrapping_add(step) % group.targets.len()])
            .find(|target| not.is_none_or(|not| !std::ptr::eq(&raw const ***target, not)))
            .map(InFlight::new)
    }
}

fn member(group: &Group, before: &[Member]) -> Member {
    let old = before.iter().find(|member| member.info.name == group.name);
    let info = old.map_or_else(
        || {
            Arc::new(GroupInfo {
                name: group.name.clone(),
                // A checked name holds only letters, digits and `-_.`.
                served_by: HeaderValue::from_str(&group.name).unwrap_or(HeaderValue::from_static("-")),
                metrics: GroupMetrics::default(),
            })
        },
        |member| Arc::clone(&member.info),
    );
    let targets = group
        .targets
        .iter()
        .filter_map(|address| {
            let kept = old.and_then(|member| member.targets.iter().find(|t| t.authority.as_str() == address));
            if let Some(kept) = kept {
                return Some(Arc::clone(kept));
            }
            Some(Arc::new(Target {
                group: Arc::clone(&info),
                authority: address.parse().ok()?,
                healthy: AtomicBool::new(true),
                in_flight: AtomicUsize::new(0),
                cut: Notify::new(),
                was_cut: AtomicBool::new(false),
            }))
        })
        .collect();
    Member {
        weight: group.weight,
        health: group.health.clone(),
        info,
        targets,
    }
}

/// Lays out one round of turns so that nobody has two in a row who need not: smooth weighted
/// round-robin, as nginx has it.
fn smooth(weights: &[u32]) -> Vec<usize> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let weights: Vec<i64> = weights.iter().map(|weight| i64::from(weight / divisor)).collect();
    let total: i64 = weights.iter().sum();
    let mut credit = vec![0_i64; weights.len()];
    (0..total)
        .map(|_| {
            let mut best = 0;
            for (index, weight) in weights.iter().enumerate() {
                credit[index] += weight;
                if credit[index] > credit[best] {
                    best = index;
                }
            }
            credit[best] -= total;
            best
        })
        .collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_smooth_and_as_many_as_the_weight() {
        assert_eq!(smooth(&[1, 1, 1]), [0, 1, 2]);
        assert_eq!(smooth(&[100, 100]), [0, 1]);
        assert_eq!(smooth(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(smooth(&[]), [] as [usize; 0]);
        assert_eq!(smooth(&[7]), [0]);
    }

    fn pool(groups: &[(&str, u32, &[&str])]) -> Pool {
        let pool = Pool::new();
        pool.configure(&config(groups));
        pool
    }

    fn config(groups: &[(&str, u32, &[&str])]) -> Config {
        Config {
            groups: groups
                .iter()
                .map(|(name, weight, targets)| Group {
                    name: (*name).to_owned(),
                    weight: *weight,
                    targets: targets.iter().map(|t| (*t).to_owned()).collect(),
                    health: None,
                })
                .collect(),
            ..Config::default()
        }
    }

    fn served(pool: &Pool, count: usize) -> String {
        (0..count)
            .filter_map(|_| {
                pool.pick()
                    .map(|it| it.target().authority.port_u16().unwrap_or(0).to_string())
            })
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn groups_take_turns_by_weight_and_targets_within_a_group() {
        let pool = pool(&[("a", 2, &["h:1", "h:2"]), ("b", 1, &["h:3"]), ("c", 0, &["h:4"])]);
        assert_eq!(served(&pool, 6), "1 3 2 1 3 2");
    }

    #[test]
    fn a_sick_target_shifts_its_turns_to_its_group_and_a_sick_group_to_all_others() {
        let pool = pool(&[("a", 1, &["h:1"]), ("b", 1, &["h:2"]), ("c", 1, &["h:3"])]);
        let sick = Arc::clone(&pool.members()[1].targets[0]);
        assert!(pool.set_healthy(&sick, false));
        assert!(!pool.set_healthy(&sick, false));
        assert_eq!(served(&pool, 4), "1 3 1 3");
        assert!(
            pool.pick_other(&pool.members()[0].targets[0])
                .is_some_and(|it| it.target().authority.as_str() == "h:3")
        );
        for member in pool.members().iter() {
            pool.set_healthy(&member.targets[0], false);
        }
        assert!(pool.pick().is_none());
        assert!(pool.pick_other(&sick).is_none());
    }

    #[test]
    fn a_new_configuration_keeps_what_stays() {
        let pool = pool(&[("a", 1, &["h:1", "h:2"])]);
        let stays = Arc::clone(&pool.members()[0].targets[0]);
        pool.set_healthy(&stays, false);
        let left = pool.configure(&config(&[("a", 1, &["h:1", "h:3"])]));
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].authority.as_str(), "h:2");
        assert!(Arc::ptr_eq(&stays, &pool.members()[0].targets[0]));
        assert_eq!(served(&pool, 2), "3 3");
    }
}
