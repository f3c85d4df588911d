//! The load balancer: one listener, weighted target groups, health checks, draining, metrics.
//!
//! hyper and hyper-util carry the bytes; what is here decides whose turn it is and what happens when something is away.
//!
//! - **Turns.** Groups take turns by smooth weighted round-robin, targets within a group by round-robin. The order is laid
//!   out whenever health or configuration changes and indexed by one counter, so that the distribution is exact.
//! - **Away.** A connection that fails before anything was sent takes the target out at once and the request to another
//!   target, once. A request of which a byte may have arrived is not repeated, the client gets 502; only one of a safe
//!   method without a body is, twice at most, when its connection closed without an answer (RFC 9110, 9.2.2): a target that goes
//!   closes connections on which the next request is already on its way.
//! - **Configuration** is a JSON file, read again when it changes; see [`Config`]. Requests in flight do not notice.
//! - **Operators** have a listener of their own: `/metrics` and `/status`.

mod access;
mod admin;
mod body;
mod config;
mod health;
mod metrics;
mod proxy;
mod run;
mod server;
mod target;
mod upgrade;

pub use config::{Config, ConfigError, Group, Health, Limits, WEIGHT_MAX};
pub use run::{Options, run};
pub use server::{Balancer, Report};
