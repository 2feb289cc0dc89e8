//! How full a pool is.

use ferrolb_addr::Family;

/// Addresses of one pool, as `status` of the `IPAddressPool` and the metrics report them.
///
/// Never negative. A pool with a range of 2^62 addresses or more counts as [`Counters::MAX`] in
/// that family, which is how much the API's 64-bit fields can say.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Counters {
    /// IPv4 addresses in use; a shared one counts once.
    pub assigned_v4: i64,
    /// IPv6 addresses in use; a shared one counts once.
    pub assigned_v6: i64,
    /// IPv4 addresses the pool could still give.
    pub available_v4: i64,
    /// IPv6 addresses the pool could still give.
    pub available_v6: i64,
}

impl Counters {
    /// The largest number that is told apart from more.
    pub const MAX: i64 = i64::MAX;

    /// Addresses in use.
    pub const fn assigned(&self, family: Family) -> i64 {
        match family {
            Family::V4 => self.assigned_v4,
            Family::V6 => self.assigned_v6,
        }
    }

    /// Addresses in use and available: the size of the pool.
    pub const fn capacity(&self, family: Family) -> i64 {
        match family {
            Family::V4 => self.assigned_v4.saturating_add(self.available_v4),
            Family::V6 => self.assigned_v6.saturating_add(self.available_v6),
        }
    }

    /// The size of the pool in both families, saturating.
    pub const fn total_capacity(&self) -> i64 {
        self.capacity(Family::V4).saturating_add(self.capacity(Family::V6))
    }

    /// Addresses in use in both families.
    pub const fn total_assigned(&self) -> i64 {
        self.assigned_v4.saturating_add(self.assigned_v6)
    }
}
