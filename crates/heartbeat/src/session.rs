//! Replay guard of one peer: which of its datagrams are new, and which of its lives is the present.
//!
//! Within a life (epoch, sequence) must rise. A refutation raises the epoch by one, so a slightly
//! higher epoch is the same life. Any other epoch is a restart or a replay of an older life, and
//! only an answer to our own nonce tells those apart: an epoch drawn at random cannot be compared,
//! and a receiver that just started remembers no sequence.

use crate::wire::{Header, Kind, Reject};

/// Refutations that may be missed in a row before a peer has to prove itself again.
const LEAP: u64 = 1 << 16;

/// The newest datagram accepted of a proven life.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Session {
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
}

/// Decides on a datagram from a peer that was sent `nonce`; the session to remember if accepted.
pub(crate) fn admit(
    session: Option<Session>,
    nonce: u64,
    header: &Header,
) -> Result<Session, Reject> {
    let next = Session { epoch: header.epoch, sequence: header.sequence };
    if let Some(last) = session {
        if next.epoch == last.epoch {
            return if next.sequence > last.sequence { Ok(next) } else { Err(Reject::Replayed) };
        }
        // Just below the present epoch: sent before the last refutation and overtaken by what came
        // after it, even if it answers our nonce. A restart draws such an epoch once in 2⁴⁷ times.
        if next.epoch.abs_diff(last.epoch) <= LEAP {
            return if next.epoch > last.epoch { Ok(next) } else { Err(Reject::Replayed) };
        }
    }
    if header.kind == Kind::Beat && header.token == nonce {
        return Ok(next);
    }
    Err(Reject::Unproven)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rstest::rstest;

    use super::{LEAP, Session, admit};
    use crate::node::NodeHash;
    use crate::wire::{Bits, Header, Kind, Reject};

    const NONCE: u64 = 77;
    const LIFE: u64 = 1 << 40;

    fn mk_header(kind: Kind, epoch: u64, sequence: u64, token: u64) -> Header {
        Header {
            kind,
            sender: NodeHash(1),
            receiver: NodeHash(2),
            epoch,
            sequence,
            token,
            lateness: Duration::ZERO,
            bits: Bits::default(),
        }
    }

    #[rstest]
    #[case::next(Kind::Beat, LIFE, 6, 0, None)]
    #[case::gap(Kind::Probe, LIFE, 60, 1, None)]
    #[case::same(Kind::Beat, LIFE, 5, 0, Some(Reject::Replayed))]
    #[case::older(Kind::Beat, LIFE, 4, 0, Some(Reject::Replayed))]
    #[case::same_with_our_nonce(Kind::Beat, LIFE, 5, NONCE, Some(Reject::Replayed))]
    #[case::refutation(Kind::Beat, LIFE + 1, 6, 0, None)]
    #[case::too_far(Kind::Beat, LIFE + 1 + LEAP, 6, 0, Some(Reject::Unproven))]
    #[case::before_a_refutation(Kind::Beat, LIFE - 1, 6, 0, Some(Reject::Replayed))]
    #[case::overtaken_by_a_refutation(Kind::Beat, LIFE - 1, 6, NONCE, Some(Reject::Replayed))]
    #[case::older_life(Kind::Beat, LIFE - LEAP - 1, 6, 0, Some(Reject::Unproven))]
    #[case::restart(Kind::Beat, 3, 1, NONCE, None)]
    #[case::nonce_in_a_probe_proves_nothing(Kind::Probe, 3, 1, NONCE, Some(Reject::Unproven))]
    fn a_known_life(
        #[case] kind: Kind,
        #[case] epoch: u64,
        #[case] sequence: u64,
        #[case] token: u64,
        #[case] reject: Option<Reject>,
    ) {
        let known = Some(Session { epoch: LIFE, sequence: 5 });
        let header = mk_header(kind, epoch, sequence, token);
        assert_eq!(admit(known, NONCE, &header).err(), reject);
    }

    #[rstest]
    #[case::without_proof(0, Some(Reject::Unproven))]
    #[case::with_proof(NONCE, None)]
    fn a_first_contact(#[case] token: u64, #[case] reject: Option<Reject>) {
        let header = mk_header(Kind::Beat, 9, 9, token);
        assert_eq!(admit(None, NONCE, &header).err(), reject);
    }
}
