//! What is counted, and how Prometheus reads it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::target::Member;

/// Upper bounds of the latency buckets, in microseconds, with the text Prometheus knows them by.
const BUCKETS: [(u64, &str); 12] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (1_000_000, "1"),
    (5_000_000, "5"),
    (30_000_000, "30"),
];

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Counters of one target group.
#[derive(Default)]
pub(super) struct GroupMetrics {
    classes: [AtomicU64; 5],
    buckets: [AtomicU64; BUCKETS.len()],
    count: AtomicU64,
    micros: AtomicU64,
    /// Connections that could not be made or were closed before a request was sent.
    pub(super) connect_errors: AtomicU64,
    /// Requests that were sent to another target because of that.
    pub(super) retries: AtomicU64,
}

impl GroupMetrics {
    /// Counts an answer, with the time from the request's head to the end of the answer's body.
    pub(super) fn answered(&self, status: u16, took: Duration) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.classes[class].fetch_add(1, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        if let Some(bucket) = BUCKETS.iter().position(|(bound, _)| micros <= *bound) {
            self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts the answers so far.
    pub(super) fn requests(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

/// Writes everything in the text format of Prometheus. `refused` are the requests that got their answer
/// from the balancer itself, by status.
pub(super) fn render(members: &[Member], refused: &[(u16, u64)]) -> String {
    let mut text = String::with_capacity(4_096);
    let head = |text: &mut String, name: &str, kind: &str, help: &str| {
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    };
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);

    let name = "wasmctl_balancer_requests_total";
    head(
        &mut text,
        name,
        "counter",
        "Requests answered, by target group and class of status.",
    );
    for member in members {
        let group = &member.info.name;
        for (class, counter) in CLASSES.iter().zip(&member.info.metrics.classes) {
            let _ = writeln!(text, "{name}{{group=\"{group}\",code=\"{class}\"}} {}", get(counter));
        }
    }
    let name = "wasmctl_balancer_request_duration_seconds";
    head(
        &mut text,
        name,
        "histogram",
        "Time from the head of a request to the end of its answer.",
    );
    for member in members {
        let (group, metrics) = (&member.info.name, &member.info.metrics);
        let mut below = 0;
        for ((_, bound), counter) in BUCKETS.iter().zip(&metrics.buckets) {
            below += get(counter);
            let _ = writeln!(text, "{name}_bucket{{group=\"{group}\",le=\"{bound}\"}} {below}");
        }
        let count = get(&metrics.count).max(below);
        let micros = get(&metrics.micros);
        let _ = writeln!(text, "{name}_bucket{{group=\"{group}\",le=\"+Inf\"}} {count}");
        let _ = writeln!(
            text,
            "{name}_sum{{group=\"{group}\"}} {}.{:06}",
            micros / 1_000_000,
            micros % 1_000_000
        );
        let _ = writeln!(text, "{name}_count{{group=\"{group}\"}} {count}");
    }
    for (name, help, pick) in [
        (
            "wasmctl_balancer_connect_errors_total",
            "Connections to a target that failed before a request was sent.",
            (|m: &GroupMetrics| &m.connect_errors) as fn(&GroupMetrics) -> &AtomicU64,
        ),
        (
            "wasmctl_balancer_retries_total",
            "Requests sent to another target because the connection to this group failed.",
            |m: &GroupMetrics| &m.retries,
        ),
    ] {
        head(&mut text, name, "counter", help);
        for member in members {
            let _ = writeln!(
                text,
                "{name}{{group=\"{}\"}} {}",
                member.info.name,
                get(pick(&member.info.metrics))
            );
        }
    }
    let mut gauge = |name: &str, help: &str, value: fn(&super::target::Target) -> usize| {
        head(&mut text, name, "gauge", help);
        for member in members {
            for target in &member.targets {
                let (group, address) = (&member.info.name, &target.authority);
                let _ = writeln!(
                    text,
                    "{name}{{group=\"{group}\",target=\"{address}\"}} {}",
                    value(target)
                );
            }
        }
    };
    gauge("wasmctl_balancer_in_flight", "Requests in flight.", |target| {
        target.in_flight()
    });
    gauge(
        "wasmctl_balancer_healthy",
        "Whether requests are sent to the target.",
        |target| usize::from(target.is_healthy()),
    );
    let name = "wasmctl_balancer_weight";
    head(&mut text, name, "gauge", "Turns of the target group beside the others.");
    for member in members {
        let _ = writeln!(text, "{name}{{group=\"{}\"}} {}", member.info.name, member.weight);
    }
    let name = "wasmctl_balancer_refused_total";
    head(
        &mut text,
        name,
        "counter",
        "Requests answered by the balancer itself, by status.",
    );
    for (status, count) in refused {
        let _ = writeln!(text, "{name}{{code=\"{status}\"}} {count}");
    }
    text
}
