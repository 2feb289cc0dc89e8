//! The wire as second observer: when a peer falls silent and nobody else can judge it, an address
//! it announces is asked for. Its answer shows that it lives, whatever happened to its heartbeats.
//!
//! ```text
//!  members thread ── ask(ip) ──► open questions ──► announcer thread ──► ARP probe / NS
//!                 ◄─ verdict ──        ▲
//!                                      └── hear(claim) ── answerer threads
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ferrolb_heartbeat::WireAnswer;
use ferrolb_l2_proto::{Claim, Form};
use ferrolb_sys::Waker;
use parking_lot::Mutex;

/// The questions about peers that are open. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Witness {
    shared: Arc<Questions>,
}

#[derive(Default)]
struct Questions {
    /// Some question is open; spares the answering path a lock.
    any: AtomicBool,
    /// Frames of other stations heard so far, of the kinds the sockets take.
    heard: AtomicU64,
    open: Mutex<BTreeMap<IpAddr, Question>>,
    /// Raised when there is something to ask.
    announcer: Mutex<Option<Waker>>,
}

struct Question {
    /// To be sent when the announcer comes round.
    due: bool,
    answered: bool,
    /// `heard` when it was first asked.
    since: u64,
}

impl Witness {
    /// Says whom to wake when there is something to ask.
    pub(crate) fn attach(&self, announcer: Waker) {
        *self.shared.announcer.lock() = Some(announcer);
    }

    /// Asks for `ip` on every interface, once per call.
    pub(crate) fn ask(&self, ip: IpAddr) {
        let since = self.shared.heard.load(Ordering::Relaxed);
        self.shared
            .open
            .lock()
            .entry(ip)
            .or_insert(Question { due: true, answered: false, since })
            .due = true;
        self.shared.any.store(true, Ordering::Release);
        if let Some(announcer) = &*self.shared.announcer.lock() {
            announcer.wake();
        }
    }

    /// Closes the question for `ip` and says what came of it.
    pub(crate) fn verdict(&self, ip: IpAddr) -> WireAnswer {
        let mut open = self.shared.open.lock();
        let question = open.remove(&ip);
        self.shared.any.store(!open.is_empty(), Ordering::Release);
        let heard = self.shared.heard.load(Ordering::Relaxed);
        match question {
            Some(question) if question.answered => WireAnswer::Answered,
            Some(question) if question.since == heard => WireAnswer::Mute,
            _ => WireAnswer::Unanswered,
        }
    }

    /// Addresses to ask for now.
    pub(super) fn due(&self) -> Vec<IpAddr> {
        if !self.shared.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut open = self.shared.open.lock();
        open.iter_mut()
            .filter_map(|(ip, question)| std::mem::take(&mut question.due).then_some(*ip))
            .collect()
    }

    /// Any frame of another station came in.
    pub(super) fn count(&self) {
        self.shared.heard.fetch_add(1, Ordering::Relaxed);
    }

    /// Looks whether `claim` answers an open question.
    pub(super) fn hear(&self, claim: Claim) {
        if claim.form != Form::Probe
            && self.shared.any.load(Ordering::Acquire)
            && let Some(question) = self.shared.open.lock().get_mut(&claim.ip)
        {
            question.answered = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use ferrolb_l2_proto::{
        Answer, FrameBuf, IfIndex, Interfaces, Mac, Port, Responder, Table, probe,
    };
    use rstest::rstest;

    use super::*;

    const PEER: Mac = Mac([2, 0, 0, 0, 0, 2]);

    /// What the peer's speaker answers to our question.
    fn mk_answer(ip: IpAddr) -> Claim {
        let mut table = Table::new();
        table.set(ip, Interfaces::All);
        let port = Port { index: IfIndex(1), mac: PEER, link_local: None };
        let mut out = FrameBuf::new();
        let question = probe(ip, Mac([2, 0, 0, 0, 0, 1]));
        let answer = Responder::new(port).answer(&table, question.as_bytes(), &mut out);
        assert!(matches!(answer, Answer::Reply(_)), "{answer:?}");
        Claim::decode(out.as_bytes()).unwrap()
    }

    #[rstest]
    #[case("192.0.2.1")]
    #[case("2001:db8::1")]
    fn an_answer_of_the_peer_is_recognised(#[case] ip: &str) {
        let ip = ip.parse().unwrap();
        let witness = Witness::default();
        witness.ask(ip);
        assert_eq!(witness.due(), [ip]);
        assert_eq!(witness.due(), [] as [IpAddr; 0]);
        witness.hear(mk_answer(ip));
        assert_eq!(witness.verdict(ip), WireAnswer::Answered);
    }

    #[test]
    fn silence_tells_a_dead_peer_from_a_deaf_self() {
        let ip = "192.0.2.1".parse().unwrap();
        let witness = Witness::default();
        witness.ask(ip);
        assert_eq!(witness.verdict(ip), WireAnswer::Mute);
        witness.ask(ip);
        witness.count();
        witness.hear(mk_answer("192.0.2.2".parse().unwrap()));
        assert_eq!(witness.verdict(ip), WireAnswer::Unanswered);
    }
}
