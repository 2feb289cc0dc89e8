//! The reports of the owner: what became of them, and what is written next.

use std::sync::Arc;

use ferrolb_ipam::ServiceKey;
use ferrolb_kube_rt::status::{self, Outcome, Write};
use tracing::error;

use super::bgp::Side;
use super::{LATE, Owner, SOON};
use crate::objects::{Action, Again, Kind, Reports, Row};
use crate::topics::{BGP_STATUSES, L2_STATUSES, Message, SESSIONS, StatusKey, Subject, Topic};

impl Owner {
    /// Takes in what a watch of reports says, or how a write ended.
    pub(super) fn take_report(&mut self, message: Message) {
        match message {
            Message::L2Status(name, row) => {
                let row = row.map(|row| self.without_copy(row));
                let concerned = self.reports.layer2.see(&name, row);
                self.statuses_due.extend(concerned.into_iter().map(Subject::Layer2));
            }
            Message::BgpStatus(name, row) => {
                let row = row.map(|row| self.without_copy(row));
                let concerned = self.reports.bgp.see(&name, row);
                self.statuses_due.extend(concerned.into_iter().map(Subject::Bgp));
            }
            Message::Session(name, row) => {
                let concerned = self.reports.sessions.see(&name, row);
                self.statuses_due.extend(concerned.into_iter().map(Subject::Session));
            }
            Message::Synced(L2_STATUSES) => {
                let concerned = self.reports.layer2.set_listed();
                self.statuses_due.extend(concerned.into_iter().map(Subject::Layer2));
            }
            Message::Synced(BGP_STATUSES) => {
                let concerned = self.reports.bgp.set_listed();
                self.statuses_due.extend(concerned.into_iter().map(Subject::Bgp));
            }
            Message::Synced(SESSIONS) => {
                let concerned = self.reports.sessions.set_listed();
                self.statuses_due.extend(concerned.into_iter().map(Subject::Session));
            }
            Message::StatusWritten(key, outcome) => self.status_written(key, &outcome),
            Message::StatusAgain(subject) => {
                self.statuses_due.insert(subject);
            }
            _ => {}
        }
    }

    /// The same report with the name that its Service is known by.
    fn without_copy<K: Kind<Key = ServiceKey>>(&self, row: Row<K>) -> Row<K> {
        match self.snapshot.service(row.key()) {
            Some(service) => row.with_key(service.key.clone()),
            None => row,
        }
    }

    /// Writes what is due.
    pub(super) fn write_statuses(&mut self) {
        let speaks = self.bgp.as_ref().is_some_and(Side::has_reported);
        for subject in std::mem::take(&mut self.statuses_due) {
            if !speaks && !matches!(subject, Subject::Layer2(_)) {
                self.statuses_due.insert(subject);
                continue;
            }
            for (name, action) in self.reports.reconcile(&subject) {
                self.write_status(name, subject.clone(), action);
            }
        }
    }

    fn write_status(&self, name: Arc<str>, subject: Subject, action: Action) {
        let (action, subresource) = match action {
            Action::Create(object) => (status::Action::Create(object.into()), None),
            Action::SetStatus(body) => (
                status::Action::Patch { body: body.into(), resource_version: None },
                Some("status"),
            ),
            Action::SetOwner(body) => {
                (status::Action::Patch { body: body.into(), resource_version: None }, None)
            }
            Action::Delete => (status::Action::Delete, None),
        };
        let write = Write {
            resource: Reports::resource(&subject),
            namespace: Some(self.parts.namespace.as_str().into()),
            name: Arc::clone(&name),
            subresource,
            action,
        };
        self.parts.writer.submit(StatusKey { name, subject }, write);
    }

    fn status_written(&mut self, key: StatusKey, outcome: &Outcome) {
        if let Outcome::Failed(error) = outcome {
            error!(op = "writeStatus", subject = %key.subject, %error, "cannot write a report");
        }
        let pause = match self.reports.written(&key, outcome) {
            Again::Now => {
                self.statuses_due.insert(key.subject);
                return;
            }
            Again::Soon => SOON,
            Again::Late => LATE,
        };
        let post = self.parts.post.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let topic = Topic::StatusAgain(key.subject.clone());
            post.send(topic, Message::StatusAgain(key.subject)).await;
        });
    }
}
