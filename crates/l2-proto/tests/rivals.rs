//! Two nodes that take each other for dead announce one address. They hear each other on the wire all
//! the same: for how long do both answer?

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use ferrolb_l2_proto::conflict::{Conflicts, Event};
use ferrolb_l2_proto::{
    Answer, Claim, Form, FrameBuf, Gratuitous, IfIndex, Interfaces, Mac, Port, Responder, Table,
};
use rstest::rstest;

const ETH0: IfIndex = IfIndex(2);
/// Time a frame takes; on a network it is less.
const WAY: Duration = Duration::from_millis(2);
/// What issue and documentation promise.
const SETTLED: Duration = Duration::from_secs(1);

/// A node as the speaker puts it together.
struct Station {
    port: Port,
    host: IpAddr,
    table: Table,
    conflicts: Conflicts,
    gratuitous: Gratuitous,
    responder: Responder,
    /// Told when it hears of a rival.
    yields: bool,
}

impl Station {
    fn new(number: u8, yields: bool) -> Self {
        let mac = Mac([2, 0, 0, 0, 0, number]);
        let link_local = Some(format!("fe80::{number}").parse().unwrap());
        let port = Port { index: ETH0, mac, link_local };
        let mut station = Self {
            port,
            host: [192, 0, 2, number].into(),
            table: Table::new(),
            conflicts: Conflicts::new(number.into()),
            gratuitous: Gratuitous::new(None, number.into()),
            responder: Responder::new(port),
            yields,
        };
        station.conflicts.set_port(port);
        station.gratuitous.set_port(port);
        station
    }

    /// Learns whose station the other one is.
    fn meet(&mut self, other: &Self) {
        self.conflicts.set_hosts([self.host, other.host].into());
        while self.conflicts.poll_transmit().is_some() {}
        let claim = Claim { ip: other.host, mac: other.port.mac, form: Form::Announcement };
        self.conflicts.handle_claim(Duration::ZERO, ETH0, claim);
    }

    fn announce(&mut self, now: Duration, ip: IpAddr) {
        self.table.set(ip, Interfaces::All);
        self.gratuitous.own(ip, Interfaces::All);
        self.conflicts.watch(now, ip, Interfaces::All);
    }

    /// An answer, if the frame is a question for us.
    fn hear(&mut self, now: Duration, frame: &[u8]) -> Option<FrameBuf> {
        if let Some(claim) = Claim::decode(frame) {
            self.conflicts.handle_claim(now, ETH0, claim);
        }
        let mut out = FrameBuf::new();
        let answer = self.responder.answer(&self.table, frame, &mut out);
        matches!(answer, Answer::Reply(_)).then_some(out)
    }

    /// Does what is due, and returns what it sends.
    fn act(&mut self, now: Duration) -> Vec<FrameBuf> {
        self.conflicts.handle_timeout(now);
        while let Some(event) = self.conflicts.poll_event() {
            let Event::Rival { contender, .. } = event else { panic!("{event:?}") };
            if self.yields {
                self.table.remove(contender.ip);
                self.gratuitous.release(contender.ip);
                self.conflicts.stand_back(now, contender.ip, Interfaces::All);
            } else {
                self.gratuitous.defend(contender.ip, ETH0);
            }
        }
        let asked = std::iter::from_fn(|| self.conflicts.poll_transmit());
        let mut frames: Vec<FrameBuf> = asked.map(|transmit| transmit.frame).collect();
        frames.extend(
            std::iter::from_fn(|| self.gratuitous.poll_transmit(now)).map(|told| told.frame),
        );
        frames
    }
}

#[rstest]
#[case::newcomer_yields("192.0.2.7", [false, true])]
#[case::former_owner_yields("192.0.2.7", [true, false])]
#[case::newcomer_yields_v6("2001:db8::7", [false, true])]
#[case::former_owner_yields_v6("2001:db8::7", [true, false])]
fn two_that_answer_for_one_address_settle_on_the_wire(
    #[case] ip: IpAddr,
    #[case] yields: [bool; 2],
) {
    let [mut former, mut newcomer] = [Station::new(1, yields[0]), Station::new(2, yields[1])];
    former.meet(&newcomer);
    newcomer.meet(&former);
    let mut now = Duration::ZERO;
    former.announce(now, ip);
    // Its own announcements are long over.
    while now < Duration::from_secs(20) {
        former.act(now);
        now += Duration::from_millis(100);
    }
    let begun = now;
    newcomer.announce(now, ip);

    let mut stations = [former, newcomer];
    let mut wire: VecDeque<(Duration, usize, FrameBuf)> = VecDeque::new();
    let mut both = Duration::ZERO;
    while now < begun + Duration::from_secs(10) {
        while wire.front().is_some_and(|(at, ..)| *at <= now) {
            let (_, to, frame) = wire.pop_front().unwrap();
            if let Some(answer) = stations[to].hear(now, frame.as_bytes()) {
                wire.push_back((now + WAY, 1 - to, answer));
            }
        }
        for (from, station) in stations.iter_mut().enumerate() {
            let frames = station.act(now);
            wire.extend(frames.into_iter().map(|frame| (now + WAY, 1 - from, frame)));
        }
        if stations.iter().all(|station| station.table.interfaces(ip).is_some()) {
            both = now.saturating_sub(begun);
        }
        now += Duration::from_millis(1);
    }
    assert!(both < SETTLED, "two answer for {both:?}");
    let answering = stations.map(|station| station.table.interfaces(ip).is_some());
    assert_eq!(answering, yields.map(|yields| !yields));
}
