//! The life of a guardian.

use std::collections::BTreeMap;
use std::fs::File;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::process::Signal;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::backoff::Backoff;
use super::dir::{Mode, Progress, Record, RunDir, Spec};
use super::log;
use super::process::ProcessId;
use super::worker::{Event, Job, What, Worker};

/// How often the folder is looked at for what no signal announced.
const LOOK: Duration = Duration::from_secs(1);

/// So many deaths in a row say that the worker is no good.
const HOPELESS: u32 = 3;

/// Connections that wait for a worker.
const BACKLOG: i32 = 4_096;

/// Keeps a worker running until it is told to stop. Ends at once if another guardian does so already.
///
/// # Errors
/// When the folder or the socket cannot be used.
pub async fn keep(dir: RunDir, inherited: Option<TcpListener>) -> io::Result<()> {
    // Handlers first: from the moment the record names this process, others may signal it.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut reload = signal(SignalKind::hangup())?;
    let Some(lock) = lock(&dir).await? else { return Ok(()) };
    if dir.is_stopped() {
        dir.clear_locked()?;
        return Ok(());
    }
    let Some((spec, digest)) = dir.spec()? else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "there is no readable spec.json",
        ));
    };
    let mut guardian = Guardian::new(dir, lock, spec, digest, inherited).await?;
    guardian.begin();
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let (restart, demand) = (guardian.restart, &mut guardian.demand);
        tokio::select! {
            biased;
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            Some(event) = guardian.events.recv() => guardian.happened(event).await,
            _ = reload.recv() => guardian.reload().await,
            () = until(restart) => guardian.start(),
            () = wanted(demand) => guardian.start(),
            // A folder that somebody removed by hand is the end: nobody could find these processes again.
            _ = look.tick() => match guardian.dir.exists() {
                true => guardian.look().await,
                false => break,
            },
        }
    }
    guardian
        .stop(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
        .await
}

/// Takes the lock, or finds that another guardian lives. Whoever only asks whether there is one holds the lock for a
/// moment as well.
async fn lock(dir: &RunDir) -> io::Result<Option<File>> {
    let mut tick = interval(Duration::from_millis(2));
    for _ in 0..1_000 {
        match dir.try_lock() {
            Ok(Some(lock)) => return Ok(Some(lock)),
            Ok(None) => {}
            // The folder was removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        let other = dir.record().ok().flatten().map(|record| record.guardian);
        if other.is_some_and(|guardian| guardian.is_alive()) {
            return Ok(None);
        }
        tick.tick().await;
    }
    Ok(None)
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

type Demand = Pin<Box<dyn Future<Output = ()> + Send>>;

async fn wanted(demand: &mut Option<Demand>) {
    match demand {
        Some(demand) => demand.as_mut().await,
        None => std::future::pending().await,
    }
}

/// Returns when a connection waits at the listener, without taking it.
async fn connection_waits(listener: TcpListener, not_before: Instant) {
    sleep_until(not_before).await;
    #[expect(
        deprecated,
        reason = "its unsafe successor is for types whose descriptor may change; a listener's does not"
    )]
    let Ok(listener) = AsyncFd::with_interest(listener, tokio::io::Interest::READABLE) else {
        return;
    };
    loop {
        let Ok(mut guard) = listener.readable().await else {
            return;
        };
        // Readiness may be stale: a worker that is just leaving may have taken the connection.
        if has_connection(listener.get_ref()) {
            return;
        }
        guard.clear_ready();
    }
}

fn has_connection(listener: &TcpListener) -> bool {
    let mut polled = [PollFd::new(listener, PollFlags::IN)];
    rustix::event::poll(&mut polled, Some(&rustix::event::Timespec::default())).is_ok_and(|ready| ready > 0)
}

struct Guardian {
    dir: RunDir,
    /// Held, never read: its lock says that this guardian lives.
    _lock: File,
    listener: TcpListener,
    spec: Spec,
    record: Record,
    events: UnboundedReceiver<Event>,
    sender: UnboundedSender<Event>,
    started: u64,
    /// The worker that serves, or shall.
    current: Option<Worker>,
    /// The one before it, which serves until `current` is ready.
    previous: Option<Worker>,
    /// Those that finish what they have.
    leaving: Vec<Worker>,
    /// The process that waits for this guardian's death where there may be no worker.
    stand_by: Option<Worker>,
    /// A worker of the guardian before this one, and when it must have ended.
    inherited: Option<(ProcessId, Instant)>,
    backoff: Backoff,
    restart: Option<Instant>,
    demand: Option<Demand>,
}

impl Guardian {
    async fn new(
        dir: RunDir,
        lock: File,
        spec: Spec,
        digest: String,
        inherited: Option<TcpListener>,
    ) -> io::Result<Self> {
        let before = dir.record()?;
        let listener = match inherited {
            Some(listener) => listener,
            None => bind(&spec, before.as_ref()).await?,
        };
        // More than the library asks for: while a worker is replaced, all clients wait here.
        rustix::net::listen(&listener, BACKLOG)?;
        listener.set_nonblocking(true)?;
        let (sender, events) = unbounded_channel();
        let record = Record {
            guardian: ProcessId::current(),
            worker: None,
            address: listener.local_addr()?.to_string(),
            spec: digest,
            progress: Progress::Starting,
            swapped: None,
            facts: before.as_ref().map(|record| record.facts.clone()).unwrap_or_default(),
            failures: 0,
            detail: None,
        };
        let inherited = before
            .and_then(|record| record.worker)
            .map(|worker| (worker, Instant::now() + spec.drain() + Duration::from_secs(5)));
        let guardian = Self {
            dir,
            _lock: lock,
            listener,
            spec,
            record,
            events,
            sender,
            started: 0,
            current: None,
            previous: None,
            leaving: Vec::new(),
            stand_by: None,
            inherited,
            backoff: Backoff::default(),
            restart: None,
            demand: None,
        };
        guardian.dir.write_record(&guardian.record)?;
        guardian.dir.came_up();
        Ok(guardian)
    }

    fn begin(&mut self) {
        self.note(&format!(
            "keeps {} on {}",
            self.spec.args.join(" "),
            self.record.address
        ));
        match self.spec.mode {
            Mode::Always => self.start(),
            Mode::OnDemand => self.wait_for_demand(Duration::ZERO),
        }
    }

    fn note(&self, text: &str) {
        log::note(&self.dir.log(), text);
    }

    /// Tells the world how things are. A full disk must not end what serves.
    fn tell(&mut self) {
        self.record.worker = self.current.as_ref().map(|worker| worker.id.clone());
        self.record.failures = self.backoff.failures();
        if let Err(error) = self.dir.write_record(&self.record) {
            self.note(&format!("process.json cannot be written: {error}"));
        }
    }

    /// Waits for a connection, but lets no worker start within `pause`.
    fn wait_for_demand(&mut self, pause: Duration) {
        self.restart = None;
        if self.backoff.failures() < HOPELESS {
            self.record.progress = Progress::Ready;
        }
        self.ensure_stand_by();
        match self.listener.try_clone() {
            Ok(listener) => self.demand = Some(Box::pin(connection_waits(listener, Instant::now() + pause))),
            Err(error) => {
                self.note(&format!("cannot wait for connections: {error}"));
                self.start();
            }
        }
        self.tell();
    }

    fn ensure_stand_by(&mut self) {
        if self.spec.mode == Mode::OnDemand && self.stand_by.is_none() {
            match self.launch(&Job::StandBy(&self.spec.clone())) {
                Ok(process) => self.stand_by = Some(process),
                Err(error) => self.note(&format!("nobody stands by: {error}")),
            }
        }
    }

    fn launch(&mut self, job: &Job<'_>) -> io::Result<Worker> {
        self.started += 1;
        Worker::start(self.started, &self.dir, job, &self.listener, self.sender.clone())
    }

    fn start(&mut self) {
        self.restart = None;
        self.demand = None;
        let (spec, facts): (Spec, BTreeMap<_, _>) = (self.spec.clone(), self.record.facts.clone());
        match self.launch(&Job::Work(&spec, &facts)) {
            Ok(worker) => self.current = Some(worker),
            Err(error) => {
                let pause = self.backoff.died(Duration::ZERO).max(Duration::from_millis(50));
                self.note(&format!("the worker cannot be started: {error}"));
                self.record.detail = Some(format!("{} cannot be started: {error}", spec.program.display()));
                self.restart = Some(Instant::now() + pause);
            }
        }
        self.ensure_stand_by();
        self.tell();
    }

    async fn happened(&mut self, Event { worker, what }: Event) {
        let is = |of: &Option<Worker>| of.as_ref().is_some_and(|it| it.number == worker);
        match what {
            What::Ready if is(&self.current) => {
                if let Some(current) = &mut self.current {
                    current.ready = true;
                }
                self.record.progress = Progress::Ready;
                self.record.detail = None;
                if let Some(mut previous) = self.previous.take() {
                    previous.relieve(&self.spec).await;
                    self.leaving.push(previous);
                }
                self.tell();
            }
            What::Swapped(digest) if is(&self.current) => {
                self.record.swapped = Some(digest);
                self.tell();
            }
            What::Fact(key, value) if is(&self.current) => {
                self.record.facts.insert(key, value);
                self.tell();
            }
            What::Idle if is(&self.current) && self.spec.mode == Mode::OnDemand => {
                if let Some(mut current) = self.current.take() {
                    current.stop(&self.spec);
                    self.leaving.push(current);
                }
                self.backoff = Backoff::default();
                self.wait_for_demand(Duration::ZERO);
            }
            What::Ended(how) => self.ended(worker, &how, is(&self.current)),
            _ => {}
        }
    }

    fn ended(&mut self, number: u64, how: &str, is_current: bool) {
        if is_current && let Some(worker) = self.current.take() {
            let said = log::last_line(&self.dir.log(), worker.log_start);
            self.note(&format!("worker {} {how}", worker.id.pid));
            let mut pause = self.backoff.died(worker.since.elapsed());
            self.record.detail = Some(said.map_or_else(|| how.to_owned(), |said| format!("{how}: {said}")));
            if worker.ready && self.record.progress == Progress::Ready {
                self.record.progress = Progress::Recovering;
            }
            if !worker.ready {
                // One that does not even start will hardly do so at once.
                pause = pause.max(Duration::from_millis(50));
            }
            if self.spec.mode == Mode::OnDemand && self.previous.is_none() {
                self.wait_for_demand(pause);
            } else {
                self.restart = Some(Instant::now() + pause);
            }
            self.tell();
            return;
        }
        let is = |of: &Option<Worker>| of.as_ref().is_some_and(|it| it.number == number);
        if is(&self.stand_by) {
            // The next look starts another one.
            self.stand_by = None;
        } else if is(&self.previous) {
            self.previous = None;
        } else {
            self.leaving.retain(|worker| worker.number != number);
        }
    }

    /// Acts on a new spec: a new worker on the same socket; the old one serves until that is ready.
    async fn reload(&mut self) {
        let (spec, digest) = match self.dir.spec() {
            Ok(Some((spec, digest))) if digest != self.record.spec => (spec, digest),
            Ok(_) => return,
            Err(error) => return self.note(&format!("spec.json cannot be read: {error}")),
        };
        let old = std::mem::replace(&mut self.spec, spec);
        self.record.spec = digest;
        self.record.detail = None;
        self.backoff = Backoff::default();
        self.note("has a new spec.json");
        match self.current.take() {
            Some(worker) if worker.ready && self.previous.is_none() => self.previous = Some(worker),
            Some(mut worker) => {
                // It never served under the spec before; `previous` still does, or nobody.
                worker.stop(&old);
                self.leaving.push(worker);
            }
            None => {}
        }
        if self.spec.mode == Mode::OnDemand && self.previous.is_none() {
            self.wait_for_demand(Duration::ZERO);
        } else {
            self.record.progress = Progress::Starting;
            self.start();
        }
    }

    /// Does what comes up from time to time.
    async fn look(&mut self) {
        self.reload().await;
        log::rotate(&self.dir.log());
        self.ensure_stand_by();
        let now = Instant::now();
        for worker in &self.leaving {
            if worker.deadline.is_some_and(|deadline| now >= deadline) {
                worker.signal(Signal::KILL);
            }
        }
        if let Some((worker, deadline)) = &self.inherited
            && now >= *deadline
        {
            let _ = worker.signal(Signal::KILL);
            self.inherited = None;
        }
    }

    /// Ends all workers, within their drain time or until `hurry`, and then this guardian.
    async fn stop(mut self, hurry: impl Future<Output = ()>) -> io::Result<()> {
        self.record.progress = Progress::Stopping;
        self.tell();
        if let Some(stand_by) = self.stand_by.take() {
            stand_by.signal(Signal::KILL);
        }
        let spec = self.spec.clone();
        let ending: Vec<Worker> = self.current.take().into_iter().chain(self.previous.take()).collect();
        for mut worker in ending {
            worker.stop(&spec);
            self.leaving.push(worker);
        }
        let last = self.leaving.iter().filter_map(|worker| worker.deadline).max();
        let mut hurry = std::pin::pin!(hurry);
        let mut killed = false;
        while !self.leaving.is_empty() {
            tokio::select! {
                Some(event) = self.events.recv() => {
                    if let What::Ended(_) = event.what {
                        self.leaving.retain(|worker| worker.number != event.worker);
                    }
                }
                () = until(last), if !killed => {
                    killed = true;
                    self.leaving.iter().for_each(|worker| worker.signal(Signal::KILL));
                }
                () = &mut hurry, if !killed => {
                    killed = true;
                    self.leaving.iter().for_each(|worker| worker.signal(Signal::KILL));
                }
            }
        }
        if let Some((worker, _)) = self.inherited.take() {
            worker.signal(Signal::KILL)?;
        }
        if self.dir.is_stopped() {
            self.dir.remove()?;
        }
        Ok(())
    }
}

/// Binds the address of the spec; where that leaves the port open, the one that was taken before.
async fn bind(spec: &Spec, before: Option<&Record>) -> io::Result<TcpListener> {
    let wanted: SocketAddr = spec.listen.parse().map_err(|_| {
        let message = format!("`{}` is no address to listen on", spec.listen);
        io::Error::new(io::ErrorKind::InvalidInput, message)
    })?;
    let kept = before
        .and_then(|record| record.address.parse::<SocketAddr>().ok())
        .filter(|kept| wanted.port() == 0 && kept.ip() == wanted.ip());
    let address = kept.unwrap_or(wanted);
    let mut tick = interval(Duration::from_millis(50));
    let mut tries = 0;
    loop {
        tick.tick().await;
        match TcpListener::bind(address) {
            // A worker of the guardian before may hold it until it has ended.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < 20 => tries += 1,
            Err(_) if kept.is_some() => return TcpListener::bind(wanted),
            Err(error) => {
                return Err(io::Error::new(
                    error.kind(),
                    format!("cannot listen on {address}: {error}"),
                ));
            }
            Ok(listener) => return Ok(listener),
        }
    }
}
