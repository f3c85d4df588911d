//! A balancer as a process: configuration from a file, signals, the line to the guardian.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::config::{Config, ConfigError};
use super::server::{Balancer, Report};
use crate::id::hex;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How long a balancer that was relieved waits for clients to come back on new connections by themselves.
const RELIEVED: Duration = Duration::from_secs(3);

/// All that a balancer process needs to know.
pub struct Options {
    /// The configuration, JSON; see [`Config`]. Replaced by rename, never written in place.
    pub config: PathBuf,
    /// The listener for clients, already bound.
    pub listener: std::net::TcpListener,
    /// Where operators are answered; none without it. Port 0 takes a free one.
    pub admin: Option<SocketAddr>,
    /// The line to the guardian. Sends `fact metrics ADDRESS`, `swapped SHA256` for each configuration taken over, and
    /// `ready`; receives `retire`.
    pub control: Option<std::os::unix::net::UnixStream>,
    /// What happens when the guardian has died, before the balancer retires.
    pub on_orphaned: Option<Box<dyn FnOnce() + Send>>,
    /// Receives what there is to say.
    pub report: Report,
}

/// Balances until SIGTERM, SIGINT, `retire` or the end of the guardian; then finishes what is in flight, bounded by `drain_ms`.
///
/// # Errors
/// When the first configuration or the listener cannot be used. A later configuration that cannot be used is
/// reported and the one before stays.
pub async fn run(options: Options) -> io::Result<()> {
    let Options {
        config: path,
        listener,
        admin,
        control,
        on_orphaned,
        report,
    } = options;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut file = Watched::open(path)?;
    let mut balancer = Balancer::start(&file.config, listener, Arc::clone(&report))?;
    let mut control = Control::new(control)?;
    if let Some(address) = admin {
        match bind(address).await {
            Ok(listener) => {
                control.say(&format!("fact metrics {}", listener.local_addr()?)).await;
                balancer.serve_admin(listener);
            }
            // Balancing matters more than being watched.
            Err(error) => report(format!("no metrics: {address} cannot be used: {error}")),
        }
    }
    control.say(&format!("swapped {}", file.sha256)).await;
    control.say("ready").await;
    report(format!("listening on http://{}", balancer.address()));

    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = look.tick() => match file.changed() {
                Ok(false) => {}
                Ok(true) => match balancer.apply(&file.config) {
                    Ok(()) => control.say(&format!("swapped {}", file.sha256)).await,
                    Err(error) => report(format!("the new configuration is not taken over: {error}")),
                },
                Err(error) => report(format!("the new configuration is not taken over: {error}")),
            },
            told = control.hear() => match told {
                Told::Retire => {
                    balancer.retire(RELIEVED).await;
                    break;
                }
                Told::Orphaned => {
                    if let Some(hook) = on_orphaned {
                        // It starts a process, which takes a moment that requests need not wait for.
                        let _ = tokio::task::spawn_blocking(hook).await;
                    }
                    balancer.retire(RELIEVED).await;
                    break;
                }
            },
        }
    }
    if !balancer.stop(file.config.limits.drain()).await {
        report("some requests were cut off because they took longer than the drain time".to_owned());
    }
    Ok(())
}

/// Binds the operators' listener. The process before this one may hold it until it has drained its own.
async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let mut tick = interval(Duration::from_millis(20));
    let mut tries = 0;
    loop {
        match TcpListener::bind(address).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < 25 => tries += 1,
            Err(_) if address.port() != 0 => return TcpListener::bind(SocketAddr::new(address.ip(), 0)).await,
            result => return result,
        }
        tick.tick().await;
    }
}

/// The configuration file and what was last read from it.
struct Watched {
    path: PathBuf,
    stamp: Stamp,
    config: Config,
    sha256: String,
}

type Stamp = (u64, u64, Option<SystemTime>);

impl Watched {
    fn open(path: PathBuf) -> io::Result<Self> {
        let stamp = stamp(&path);
        let (config, sha256) = read(&path).map_err(io::Error::other)?;
        Ok(Self {
            path,
            stamp,
            config,
            sha256,
        })
    }

    /// Reads the file again if it was replaced; whether it says something else now.
    fn changed(&mut self) -> Result<bool, ConfigError> {
        let stamp = stamp(&self.path);
        if stamp == self.stamp {
            return Ok(false);
        }
        self.stamp = stamp;
        let (config, sha256) = read(&self.path)?;
        if sha256 == self.sha256 {
            return Ok(false);
        }
        self.config = config;
        self.sha256 = sha256;
        Ok(true)
    }
}

fn stamp(path: &Path) -> Stamp {
    std::fs::metadata(path).map_or((0, 0, None), |meta| (meta.ino(), meta.len(), meta.modified().ok()))
}

fn read(path: &Path) -> Result<(Config, String), ConfigError> {
    let bytes = std::fs::read(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok((Config::parse(&bytes, path)?, hex(&Sha256::digest(&bytes))))
}

enum Told {
    Retire,
    Orphaned,
}

/// The line to the guardian, if there is one.
struct Control(Option<(tokio::io::Lines<BufReader<OwnedReadHalf>>, OwnedWriteHalf)>);

impl Control {
    fn new(stream: Option<std::os::unix::net::UnixStream>) -> io::Result<Self> {
        let Some(stream) = stream else { return Ok(Self(None)) };
        stream.set_nonblocking(true)?;
        let (read, write) = tokio::net::UnixStream::from_std(stream)?.into_split();
        Ok(Self(Some((BufReader::new(read).lines(), write))))
    }

    /// Says a line. A guardian that is gone is noticed by `hear`.
    async fn say(&mut self, line: &str) {
        if let Some((_, write)) = &mut self.0 {
            let _ = write.write_all(format!("{line}\n").as_bytes()).await;
        }
    }

    async fn hear(&mut self) -> Told {
        let Some((lines, _)) = &mut self.0 else {
            return std::future::pending().await;
        };
        loop {
            match lines.next_line().await {
                Ok(Some(line)) if line == "retire" => return Told::Retire,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return Told::Orphaned,
            }
        }
    }
}
