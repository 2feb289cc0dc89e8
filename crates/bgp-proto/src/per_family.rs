//! One value for each address family.

use std::ops::{Index, IndexMut};

use ferrolb_addr::Family;

/// One `T` for IPv4 and one for IPv6 unicast.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct PerFamily<T> {
    /// IPv4 unicast.
    pub v4: T,
    /// IPv6 unicast.
    pub v6: T,
}

/// A set of families.
pub type Families = PerFamily<bool>;

impl Families {
    /// IPv4 unicast alone.
    pub const V4: Self = Self { v4: true, v6: false };
    /// IPv6 unicast alone.
    pub const V6: Self = Self { v4: false, v6: true };
    /// Both.
    pub const BOTH: Self = Self { v4: true, v6: true };
    /// Neither.
    pub const NONE: Self = Self { v4: false, v6: false };

    /// Those in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self { v4: self.v4 && other.v4, v6: self.v6 && other.v6 }
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        !self.v4 && !self.v6
    }

    /// IPv4 before IPv6.
    pub fn iter(self) -> impl Iterator<Item = Family> {
        Family::BOTH.into_iter().filter(move |family| self[*family])
    }
}

impl<T> Index<Family> for PerFamily<T> {
    type Output = T;

    fn index(&self, family: Family) -> &T {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

impl<T> IndexMut<Family> for PerFamily<T> {
    fn index_mut(&mut self, family: Family) -> &mut T {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}
