//! The state machine, row by row. The peer here is a hand that writes messages.

mod fsm;
mod opening;
mod timing;
mod told;

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::wire::{Capabilities, Framer, MAX_EXTENDED_MESSAGE, Open};
use crate::{Asn, Families, GracefulRestart, HoldTime, PerFamily, RemoteAsn, RouterId};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

fn asn(number: u32) -> Asn {
    Asn::new(number).unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// eBGP 64512 → 64513, IPv4.
fn mk_config() -> Config {
    Config::new(asn(64512), RemoteAsn::Exactly(asn(64513)), "node-1")
}

/// What a peer answers that can do all we can.
fn mk_peer_open() -> Open {
    Open {
        asn: asn(64513),
        hold_time: HoldTime::DEFAULT,
        router_id: RouterId::new(Ipv4Addr::new(192, 0, 2, 254)).unwrap(),
        capabilities: Capabilities {
            multiprotocol: Some(Families::V4),
            route_refresh: true,
            enhanced_refresh: true,
            four_octet_as: Some(64513),
            ..Capabilities::default()
        },
    }
}

fn mk_attributes() -> Arc<PathAttributes> {
    Arc::new(PathAttributes::new(None, [], []).unwrap())
}

/// A session, its time, and all that it said.
struct Rig {
    session: Session,
    now: Duration,
    events: Vec<Event>,
}

impl Rig {
    fn new(config: Config) -> Self {
        let now = secs(1000);
        Self { session: Session::new(config, now, 7), now, events: Vec::new() }
    }

    /// In the state that the name says.
    fn in_state(config: Config, state: State) -> Self {
        let mut rig = Self::new(config);
        if state == State::Idle {
            return rig;
        }
        rig.wake();
        if state == State::Active {
            rig.session.handle_connect_failed(rig.now, "refused");
        }
        if matches!(state, State::OpenSent | State::OpenConfirm | State::Established) {
            rig.session.handle_connected(rig.now, Link::new(LOCAL));
            rig.sent();
        }
        if matches!(state, State::OpenConfirm | State::Established) {
            rig.open(&mk_peer_open());
            rig.sent();
        }
        if state == State::Established {
            rig.keepalive();
        }
        assert_eq!(rig.state(), state);
        rig.drain();
        rig
    }

    fn established(config: Config, peer: &Open) -> Self {
        let mut rig = Self::in_state(config, State::OpenSent);
        rig.open(peer);
        rig.keepalive();
        assert_eq!(rig.state(), State::Established);
        rig
    }

    fn state(&self) -> State {
        self.session.state().0
    }

    /// To the next timer.
    fn wake(&mut self) -> Duration {
        let at = self.session.poll_timeout().expect("a timer");
        let waited = at.saturating_sub(self.now);
        self.now = self.now.max(at);
        self.session.handle_timeout(self.now);
        waited
    }

    fn open(&mut self, open: &Open) {
        let mut out = Vec::new();
        open.encode(&mut out);
        self.session.handle_bytes(self.now, &out);
    }

    fn keepalive(&mut self) {
        let mut out = Vec::new();
        crate::wire::keepalive(&mut out);
        self.session.handle_bytes(self.now, &out);
    }

    fn notification(&mut self, notification: &Notification) {
        let mut out = Vec::new();
        notification.encode(&mut out);
        self.session.handle_bytes(self.now, &out);
    }

    /// A message of this kind with this body.
    fn message(&mut self, kind: MessageKind, body: &[u8]) {
        let mut out = vec![0xFF; 16];
        out.extend_from_slice(&u16::try_from(19 + body.len()).unwrap().to_be_bytes());
        out.push(kind.code());
        out.extend_from_slice(body);
        self.session.handle_bytes(self.now, &out);
    }

    /// All that it wants to send, as messages.
    fn sent(&mut self) -> Vec<(MessageKind, Vec<u8>)> {
        let mut out = Vec::new();
        while self.session.poll_transmit(self.now, &mut out) {}
        let mut framer = Framer::default();
        let mut input = out.as_slice();
        let mut messages = Vec::new();
        while let Some(frame) = framer.next(&mut input, MAX_EXTENDED_MESSAGE).unwrap() {
            messages.push((frame.kind, frame.body.to_vec()));
        }
        messages
    }

    fn sent_kinds(&mut self) -> Vec<MessageKind> {
        self.sent().into_iter().map(|(kind, _)| kind).collect()
    }

    /// The NOTIFICATION that it sends, and that it closes after it.
    fn last_word(&mut self) -> (u8, u8) {
        let sent = self.sent();
        let [(MessageKind::Notification, body)] = sent.as_slice() else {
            panic!("no NOTIFICATION alone: {sent:?}")
        };
        assert!(self.drain().contains(&Event::Close));
        (body[0], body[1])
    }

    fn drain(&mut self) -> Vec<Event> {
        let new: Vec<Event> = std::iter::from_fn(|| self.session.poll_event()).collect();
        self.events.extend(new.iter().cloned());
        new
    }

    fn down(&self) -> &Down {
        self.session.last_down().expect("an end")
    }
}
