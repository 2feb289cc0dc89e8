//! BGP communities and how they are written (`bgp.md` 1.7).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A community of a route.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Community {
    /// RFC 1997: two numbers of 16 bits in one of 32, written `65000:100`.
    Standard(u32),
    /// RFC 8092: three numbers of 32 bits, written `large:65000:1:2`.
    Large([u32; 3]),
}

/// Why a text is no community.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CommunityError {
    /// Not even the shape of one, so it may be the name of one.
    #[error("invalid community format: {text:?} is not like 65000:100 or large:65000:1:2")]
    Format {
        /// The text.
        text: String,
    },
    /// Four parts that do not begin with `large`.
    #[error(
        "invalid community value: expected community to be of format large:65000:1:2, not {text:?}"
    )]
    Marker {
        /// The text.
        text: String,
    },
    /// A part that is no number, or too large a one.
    #[error(
        "invalid community value: invalid section {section:?} of {text:?}: a number up to {max} is expected"
    )]
    Section {
        /// The text.
        text: String,
        /// The part.
        section: String,
        /// The largest number that fits there.
        max: u32,
    },
}

impl FromStr for Community {
    type Err = CommunityError;

    fn from_str(text: &str) -> Result<Self, CommunityError> {
        let section = |part: &str, max: u32| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            let number = digits.then(|| part.parse().ok()).flatten();
            number.filter(|number| *number <= max).ok_or_else(|| CommunityError::Section {
                text: text.to_owned(),
                section: part.to_owned(),
                max,
            })
        };
        let parts: Vec<&str> = text.split(':').collect();
        match *parts.as_slice() {
            [high, low] => {
                let max = u16::MAX.into();
                Ok(Self::Standard(section(high, max)? << 16 | section(low, max)?))
            }
            ["large", one, two, three] => Ok(Self::Large([
                section(one, u32::MAX)?,
                section(two, u32::MAX)?,
                section(three, u32::MAX)?,
            ])),
            [_, _, _, _] => Err(CommunityError::Marker { text: text.to_owned() }),
            _ => Err(CommunityError::Format { text: text.to_owned() }),
        }
    }
}

impl Community {
    /// Orders a standard community by its 32 bits, among large ones as if two zeros followed.
    fn rank(self) -> ([u32; 3], bool) {
        match self {
            Self::Standard(value) => ([value, 0, 0], false),
            Self::Large(parts) => (parts, true),
        }
    }
}

impl Ord for Community {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Community {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard(value) => write!(f, "{}:{}", value >> 16, value & 0xffff),
            Self::Large([one, two, three]) => write!(f, "{one}:{two}:{three}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::t_085_standard("12345:12345", Ok(Community::Standard(0x3039_3039)))]
    #[case::t_086_one_part("12345", Err("format"))]
    #[case::t_087_large("large:12345:12345:12345", Ok(Community::Large([12345; 3])))]
    #[case::t_088_bad_marker("larg:12345:12345:12345", Err("of format large"))]
    #[case::t_089_no_number("12345:abc", Err("invalid section \"abc\""))]
    #[case::t_089_no_number_in_large("large:1:2:x", Err("invalid section \"x\""))]
    #[case::t_090_three_numbers("1:2:3", Err("format"))]
    #[case::largest("65535:65535", Ok(Community::Standard(u32::MAX)))]
    #[case::first_too_large("65536:1", Err("invalid section \"65536\""))]
    #[case::large_too_large("large:4294967296:1:1", Err("invalid section \"4294967296\""))]
    #[case::leading_zeros("007:00", Ok(Community::Standard(7 << 16)))]
    #[case::signed("+1:1", Err("invalid section \"+1\""))]
    #[case::empty_part("1:", Err("invalid section \"\""))]
    #[case::no_keywords("no-export", Err("format"))]
    fn parses(#[case] text: &str, #[case] expected: Result<Community, &str>) {
        match (text.parse::<Community>(), expected) {
            (Ok(parsed), Ok(expected)) => assert_eq!(parsed, expected),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (parsed, _) => panic!("{parsed:?}"),
        }
    }

    #[rstest]
    #[case::standard("0:1234", "0:2345", true)]
    #[case::last_field("large:123:456:788", "large:123:456:789", true)]
    #[case::first_field("large:124:456:789", "large:123:456:789", false)]
    #[case::standard_beside_large("0:1234", "large:123:456:789", false)]
    fn t_091_order(#[case] one: Community, #[case] other: Community, #[case] less: bool) {
        assert_eq!(one < other, less);
    }

    #[rstest]
    #[case("65000:100", "65000:100")]
    #[case("large:65000:1:2", "65000:1:2")]
    fn t_092_text(#[case] community: Community, #[case] expected: &str) {
        assert_eq!(community.to_string(), expected);
    }

    proptest! {
        #[test]
        fn t_093_any_text(text in "(large|[0-9]{0,6}|\\PC{0,3})(:([0-9]{0,11}|\\PC)){0,4}") {
            if let Ok(community) = text.parse::<Community>() {
                let written = match community {
                    Community::Standard(_) => community.to_string(),
                    Community::Large(_) => format!("large:{community}"),
                };
                prop_assert_eq!(written.parse(), Ok(community));
            }
        }
    }
}
