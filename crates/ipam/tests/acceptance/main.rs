//! Upstream's allocator tests as tables: rows of controller.md 7.3 to 7.7.
//!
//! Addresses are compared exactly where upstream only asks for a family and a range, since ours are
//! determined: lowest first.
#![cfg(test)]

mod allocation;
mod assignment;
mod auto_assign;
mod counters;
mod pool_allocation;
mod reload;
#[macro_use]
mod script;
