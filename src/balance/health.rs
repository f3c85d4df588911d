//! Checks of targets: on a schedule where one is configured, and of those that refused a connection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::Empty;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::config::Health;
use super::proxy::Proxy;
use super::target::Target;

/// How often the list of what is due is looked at, and how often a target that refused a connection
/// is tried again: as soon as it is back it should have requests.
const TICK: Duration = Duration::from_millis(100);

/// What is remembered of a target between two checks.
struct Course {
    target: Arc<Target>,
    due: Instant,
    good: u32,
    bad: u32,
    running: Option<tokio::task::JoinHandle<bool>>,
}

/// Checks all targets until it is dropped.
pub(super) async fn watch(proxy: Arc<Proxy>, report: Arc<dyn Fn(String) + Send + Sync>) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    // A check proves that a new connection is answered; none is kept.
    let client = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build(connector);
    let mut courses: BTreeMap<usize, Course> = BTreeMap::new();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let members = proxy.pool.members();
        courses.retain(|_, course| {
            members
                .iter()
                .any(|member| member.targets.iter().any(|target| Arc::ptr_eq(target, &course.target)))
        });
        for member in members.iter() {
            for target in &member.targets {
                let course = courses.entry(Arc::as_ptr(target) as usize).or_insert_with(|| Course {
                    target: Arc::clone(target),
                    due: Instant::now(),
                    good: 0,
                    bad: 0,
                    running: None,
                });
                course.settle(&proxy, member.health.as_ref(), &report).await;
                course.start(&client, member.health.as_ref());
            }
        }
    }
}

type Checker = Client<HttpConnector, Empty<Bytes>>;

impl Course {
    /// Counts a check that has ended.
    async fn settle(&mut self, proxy: &Proxy, health: Option<&Health>, report: &Arc<dyn Fn(String) + Send + Sync>) {
        if !self.running.as_ref().is_some_and(tokio::task::JoinHandle::is_finished) {
            return;
        }
        let Some(task) = self.running.take() else { return };
        let good = task.await.unwrap_or(false);
        (self.good, self.bad) = if good { (self.good + 1, 0) } else { (0, self.bad + 1) };
        let (rise, fall) = health.map_or((1, 1), |health| (health.healthy.max(1), health.unhealthy.max(1)));
        let news = match good {
            true if self.good >= rise => proxy.pool.set_healthy(&self.target, true),
            false if self.bad >= fall => proxy.pool.set_healthy(&self.target, false),
            _ => false,
        };
        if news {
            let word = if good { "healthy again" } else { "not healthy" };
            report(format!(
                "{} at {} is {word}",
                self.target.group.name, self.target.authority
            ));
        }
    }

    /// Starts a check if one is due.
    fn start(&mut self, client: &Checker, health: Option<&Health>) {
        if self.running.is_some() {
            return;
        }
        let now = Instant::now();
        let healthy = self.target.is_healthy();
        match health {
            // Without a check only one that refused a connection is looked at, by making another one.
            None if healthy => {}
            None => {
                let target = Arc::clone(&self.target);
                self.running = Some(tokio::spawn(async move { connects(&target).await }));
            }
            Some(health) => {
                let every = Duration::from_millis(health.interval_ms);
                let every = if healthy { every } else { every.min(TICK) };
                if now >= self.due.min(now + every) {
                    self.due = now + every;
                    let (client, target, health) = (client.clone(), Arc::clone(&self.target), health.clone());
                    self.running = Some(tokio::spawn(async move { answers(&client, &target, &health).await }));
                }
            }
        }
    }
}

async fn connects(target: &Target) -> bool {
    let connect = TcpStream::connect(target.authority.as_str());
    matches!(timeout(Duration::from_secs(1), connect).await, Ok(Ok(_)))
}

async fn answers(client: &Checker, target: &Target, health: &Health) -> bool {
    let uri = Uri::builder()
        .scheme(http::uri::Scheme::HTTP)
        .authority(target.authority.clone())
        .path_and_query(health.path.as_str())
        .build();
    let request = uri.map(|uri| {
        Request::get(uri)
            .header("user-agent", "wasmctl-health-check")
            .body(Empty::new())
    });
    let Ok(Ok(request)) = request else { return false };
    match timeout(Duration::from_millis(health.timeout_ms), client.request(request)).await {
        Ok(Ok(response)) => response.status().is_success() || response.status().is_redirection(),
        _ => false,
    }
}
