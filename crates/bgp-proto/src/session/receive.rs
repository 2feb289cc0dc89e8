//! Messages from the peer.

use std::time::Duration;

use ferrolb_addr::Family;

use super::damping::Fate;
use super::{Session, Settling, State};
use crate::event::Reason;
use crate::negotiation::{Negotiated, Offer};
use crate::wire::{Frame, MessageKind, Notification, Open, Refresh, inspect};

impl Session {
    pub(super) fn receive(&mut self, now: Duration, mut bytes: &[u8]) {
        let Some(connection) = &mut self.connection else { return };
        let mut framer = std::mem::take(&mut connection.framer);
        // The connection goes when a message ends it; nothing behind that message is read.
        while let Some(connection) = &self.connection {
            let handled = match framer.next(&mut bytes, connection.limit()) {
                Ok(Some(frame)) => self.handle_message(now, frame),
                Ok(None) => break,
                Err(notification) => Err(notification),
            };
            if let Err(notification) = handled {
                self.end_with(now, notification, Fate::Rejected);
            }
        }
        if let Some(connection) = &mut self.connection {
            connection.framer = framer;
        }
    }

    /// An error is said to the peer, and ends the connection.
    fn handle_message(&mut self, now: Duration, frame: Frame<'_>) -> Result<(), Notification> {
        self.stats.received.count(frame.kind);
        match (self.state, frame.kind) {
            (_, MessageKind::Notification) => self.handle_notification(now, frame.body),
            (State::OpenSent, MessageKind::Open) => return self.handle_open(now, frame.body),
            (State::OpenConfirm, MessageKind::Keepalive) => self.establish(now),
            (State::Established, MessageKind::Keepalive) => self.restart_hold(now),
            (State::Established, MessageKind::Update) => {
                return self.handle_update(now, frame.body);
            }
            (State::Established, MessageKind::RouteRefresh) => {
                return self.handle_refresh(now, frame.body);
            }
            // RFC 6608 3: Receive Unexpected Message in this state, with its type as data.
            (state, kind) => {
                let subcode = match state {
                    State::OpenConfirm => 2,
                    State::Established => 3,
                    _ => 1,
                };
                return Err(Notification::new(5, subcode).with_data(&[kind.code()]));
            }
        }
        Ok(())
    }

    fn handle_open(&mut self, now: Duration, body: &[u8]) -> Result<(), Notification> {
        let Some(connection) = &self.connection else { return Ok(()) };
        let peer = Open::decode(body)?;
        let terms = Negotiated::new(&self.config, &connection.link, &connection.own, &peer)?;
        self.confirm(now, terms);
        Ok(())
    }

    fn handle_update(&mut self, now: Duration, body: &[u8]) -> Result<(), Notification> {
        let terms = self.connection.as_ref().and_then(|connection| connection.terms.as_ref());
        let Some(terms) = terms else { return Ok(()) };
        let found = inspect(body, terms.reception())?;
        for family in Family::BOTH {
            self.stats.prefixes_announced[family] += u64::from(found.announced[family]);
            self.stats.prefixes_withdrawn[family] += u64::from(found.withdrawn[family]);
        }
        self.stats.end_of_ribs += u64::from(found.end_of_rib.is_some());
        if found.malformed.is_some() {
            self.stats.malformed_updates += 1;
            self.stats.last_malformed = found.malformed;
        }
        self.restart_hold(now);
        Ok(())
    }

    fn handle_refresh(&mut self, now: Duration, body: &[u8]) -> Result<(), Notification> {
        match Refresh::decode(body)? {
            Some(Refresh::Request(family)) => {
                self.settling = Settling::Open;
                self.rib.request_refresh(family);
            }
            // Marks around routes that are dropped anyway.
            Some(Refresh::Begin(_) | Refresh::End(_)) | None => {}
        }
        self.restart_hold(now);
        Ok(())
    }

    fn handle_notification(&mut self, now: Duration, body: &[u8]) {
        let notification = Notification::decode(body).unwrap_or_else(|| Notification::new(0, 0));
        let opening = matches!(self.state, State::OpenSent | State::OpenConfirm);
        let refused = if opening { self.offer.after(&notification, &self.config) } else { None };
        let fate = match refused {
            // The next attempt is a different one.
            Some(Offer::Essential | Offer::Bare) => Fate::Quick,
            // RFC 4271 8.1.5: a version error is not counted as a failure.
            None if opening && notification.is_version_error() => Fate::Unreachable,
            Some(Offer::Full) | None => Fate::Rejected,
        };
        self.offer = refused.unwrap_or(self.offer);
        self.end(now, Reason::Received(notification), fate);
    }
}
