//! Address allocation: pools, who may use them, how addresses are shared, and the [`Allocator`].
//!
//! A pure state machine. The same commands in the same order give the same addresses and the same
//! refusals, whoever asks; there is no clock, no randomness and no input besides arguments. What is
//! *not* here: how a pool or a Service is written in Kubernetes (`model`), when a Service is asked
//! about and what is written to it (`controller`).
//!
//! ```text
//!   set_pools ──┐                        ┌── Assignment: pool and addresses
//!   set_reserved├─►  Allocator ──────────┤
//!   assign      │    pools · holdings    └── Refusal: reason code, and a sentence that names
//!   allocate…  ─┤    free space · keys        each pool that was tried and why it refused
//!   release ────┘
//! ```
//!
//! | Module | Noun |
//! |---|---|
//! | [`allocator`] | [`Allocator`], the commands |
//! | [`pool`] | [`Pool`] and [`Pinning`], who may use it |
//! | [`request`] | [`Request`], what a Service asks for |
//! | [`refusal`] | [`Refusal`], why it does not get it |
//! | [`reserved`] | [`Reserved`], what is given only to who asks for it |
//! | [`selector`] | [`Selector`], label selectors |
//! | [`labels`], [`name`], [`port`], [`counters`] | small values shared with other rooms |

pub mod allocator;
pub mod counters;
mod free;
mod holdings;
pub mod labels;
pub mod name;
mod numbering;
pub mod pool;
pub mod port;
pub mod refusal;
pub mod request;
pub mod reserved;
pub mod selector;
mod territory;

pub use allocator::{Allocator, Assignment, Moved, PoolsChange, Touched};
pub use counters::Counters;
pub use labels::Labels;
pub use name::{NodeName, PoolName, ServiceKey};
pub use pool::{Pinning, Pool};
pub use port::{Port, Protocol};
pub use refusal::{Conflict, Excerpt, PoolRefusal, Refusal, Why};
pub use request::{DualPolicy, Families, Request};
pub use reserved::{Owner, Reserved};
pub use selector::{Expression, Selector, SelectorError};
