//! The owner's side of BGP: from objects to sessions and routes, and from what sessions tell to
//! logs, events and reports. An error here never touches Layer 2.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ferrolb_api::reasons::EventReason;
use ferrolb_ipam::{NodeName, ServiceKey};
use ferrolb_kube_rt::events::ObjectRef;
use ferrolb_kube_rt::watch::Watch;
use ferrolb_model::bgp::{
    BfdProfile, PasswordSource, Peer, PeerName, SecretRow, Verdict, decide_bgp, join_password,
    peers_here, refused_here,
};
use ferrolb_model::verdict::EXCLUDE_LABEL;
use ferrolb_model::{ConfigObjects, Problem, Reason};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, Client, Resource as _};
use tokio::time::Instant;
use tracing::{error, info, warn};

use super::{Owner, addresses, set};
use crate::bgp::{Bgp, Happening, News, Outcome, Terms};
use crate::objects::{Peers, Session};
use crate::topics::{BGP, Message, Subject, watch_secret};

/// Protocol of these announcements, in metrics and events.
const PROTOCOL: &str = "bgp";
/// Reports wait this long for more to report: sessions come up and routes go out in a moment.
const DEBOUNCE: Duration = Duration::from_millis(500);
/// Time for the API server to say what becomes of this node.
const ASK: Duration = Duration::from_millis(500);

/// BGP, if this node does it.
pub(super) struct Side {
    bgp: Bgp,
    client: Client,
    /// Watches that have not said everything yet.
    missing: BTreeSet<&'static str>,
    /// Objects that came before all were there.
    staged: ConfigObjects,
    /// Everything is listed, so that what is not wanted is known not to be.
    begun: bool,
    /// The Secrets that peers refer to.
    secrets: BTreeMap<Arc<str>, Secret>,
    /// Peers without a session, and why.
    troubles: BTreeMap<PeerName, (String, Timestamp)>,
    /// What contradicts itself on this node.
    refused: Vec<Problem>,
    peers_due: bool,
    stands: BTreeMap<ServiceKey, Stand>,
    /// What is to be reported on, and when.
    reports: BTreeSet<Subject>,
    reports_at: Option<Instant>,
    /// What was reported before this process is only judged after it has something to say itself.
    has_reported: bool,
}

/// A Secret that is followed.
struct Secret {
    _watch: Watch,
    /// It is known whether it exists.
    listed: bool,
    row: Option<SecretRow>,
}

/// What was said about a Service.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Stand {
    Announced { uid: Arc<str>, ips: Box<[IpAddr]> },
    Warned(Reason),
}

impl Side {
    pub(super) fn new(bgp: Bgp, client: Client) -> Self {
        Self {
            bgp,
            client,
            missing: BGP.into_iter().collect(),
            staged: ConfigObjects::default(),
            begun: false,
            secrets: BTreeMap::new(),
            troubles: BTreeMap::new(),
            refused: Vec::new(),
            peers_due: false,
            stands: BTreeMap::new(),
            reports: BTreeSet::new(),
            reports_at: None,
            has_reported: false,
        }
    }

    /// Whether it is known what is to be reported.
    pub(super) const fn has_reported(&self) -> bool {
        self.has_reported
    }

    /// Where sessions tell what they do.
    pub(super) fn news(&self) -> News {
        self.bgp.news()
    }

    /// Ends all sessions. Routers keep the routes if they agreed to and another speaker is to follow
    /// on this node; else they are asked for `grace` to take other ways first.
    pub(super) async fn leave(self, node: &NodeName, grace: Duration) {
        if self.bgp.is_idle() {
            return;
        }
        let restart = self.bgp.may_restart() && !leaves(self.client, node).await;
        info!(event = "bgpLeave", restart, "BGP sessions end");
        let text = if restart { "speaker restarts" } else { "speaker stops" };
        self.bgp.leave(grace, restart, text).await;
    }

    /// When reports are due.
    pub(super) const fn reports_at(&self) -> Option<Instant> {
        self.reports_at
    }

    /// Brings up to date what nobody tells.
    pub(super) fn beat(&mut self) {
        self.bgp.count_bfd();
    }

    fn report(&mut self, subjects: impl IntoIterator<Item = Subject>) {
        self.reports.extend(subjects);
        if (!self.reports.is_empty() || !self.has_reported) && self.reports_at.is_none() {
            self.reports_at = Some(Instant::now() + DEBOUNCE);
        }
    }
}

impl Owner {
    /// Takes in an object of BGP.
    pub(super) fn take_bgp(&mut self, message: Message) {
        let Some(side) = &mut self.bgp else { return };
        let objects = if side.begun { &mut self.objects } else { &mut side.staged };
        match message {
            Message::BgpPeer(name, it) => set(&mut objects.peers, name, it.map(|it| *it)),
            Message::BgpAdvertisement(name, it) => {
                set(&mut objects.bgp_advertisements, name, it.map(|it| *it));
            }
            Message::BfdProfile(name, it) => set(&mut objects.bfd_profiles, name, it.map(|it| *it)),
            Message::Community(name, it) => set(&mut objects.communities, name, it.map(|it| *it)),
            Message::Secret(name, row) => {
                if let Some(secret) = side.secrets.get_mut(&name) {
                    secret.row = row;
                    side.peers_due = true;
                }
                return;
            }
            Message::SecretListed(name) => {
                if let Some(secret) = side.secrets.get_mut(&name) {
                    secret.listed = true;
                    side.peers_due = true;
                }
                return;
            }
            Message::Synced(name) => {
                side.missing.remove(name);
            }
            _ => return,
        }
        self.reconfigure |= side.begun;
    }

    /// The configuration or this node changed: other peers may be for it.
    pub(super) fn review_peers(&mut self) {
        if let Some(side) = &mut self.bgp {
            side.peers_due = true;
        }
    }

    /// Begins, once everything that BGP is decided by is there.
    pub(super) fn begin_bgp(&mut self) {
        let Some(side) = &mut self.bgp else { return };
        if side.begun || !side.missing.is_empty() {
            return;
        }
        side.begun = true;
        side.peers_due = true;
        let staged = std::mem::take(&mut side.staged);
        self.objects.peers = staged.peers;
        self.objects.bgp_advertisements = staged.bgp_advertisements;
        self.objects.bfd_profiles = staged.bfd_profiles;
        self.objects.communities = staged.communities;
        self.reconfigure = true;
        self.due.extend(self.snapshot.services().map(|service| service.key.clone()));
        info!("everything about BGP is listed");
    }

    /// Decides what routers are told of a Service; they hear of it at [`Self::flush_bgp`].
    pub(super) fn decide_bgp(&mut self, key: &ServiceKey) {
        let Some(side) = self.bgp.as_mut().filter(|side| side.begun) else { return };
        let verdict = decide_bgp(&self.snapshot, key);
        side.bgp.set_routes(key, verdict.routes().to_vec());
        side.report([Subject::Bgp(key.clone())]);
        let before = side.stands.get(key).cloned();
        let after = match &verdict {
            Verdict::Announce { .. } => {
                self.snapshot.service(key).map(|service| Stand::Announced {
                    uid: Arc::clone(&service.uid),
                    ips: addresses(service).collect::<BTreeSet<_>>().into_iter().collect(),
                })
            }
            Verdict::Silent(reason) => is_loud(reason).then(|| Stand::Warned(reason.clone())),
        };
        if before == after {
            return;
        }
        set(&mut side.stands, key.clone(), after.clone());
        let ips = |stand: Option<&Stand>| match stand {
            Some(Stand::Announced { ips, .. }) => ips.clone(),
            Some(Stand::Warned(_)) | None => Box::default(),
        };
        self.count_ips(PROTOCOL, key, &ips(before.as_ref()), &ips(after.as_ref()));
        match (&after, &verdict) {
            (Some(Stand::Announced { ips, .. }), Verdict::Announce { pool, .. }) => {
                self.tell_bgp_announced(key, ips, pool.as_str());
            }
            (_, Verdict::Silent(reason)) => {
                Self::tell_bgp_silent(key, &ips(before.as_ref()), reason);
            }
            _ => {}
        }
    }

    fn tell_bgp_announced(&self, key: &ServiceKey, ips: &[IpAddr], pool: &str) {
        info!(
            event = "serviceAnnounced",
            service = %key,
            ips = join(ips),
            pool,
            protocol = PROTOCOL,
            "service has IP, announcing"
        );
        let node = &self.parts.node;
        let message = format!("announcing from node \"{node}\" with protocol \"{PROTOCOL}\"");
        self.record(key, EventReason::NodeAssigned, message);
    }

    fn tell_bgp_silent(key: &ServiceKey, before: &[IpAddr], reason: &Reason) {
        let code = reason.code();
        if !before.is_empty() {
            let ip = join(before);
            info!(event = "serviceWithdrawn", service = %key, ip, protocol = PROTOCOL, reason = code, message = %reason);
        }
        if is_loud(reason) {
            warn!(event = "notAnnounced", service = %key, protocol = PROTOCOL, reason = code, "{reason}");
        }
    }

    /// Tells routers what was decided.
    pub(super) fn flush_bgp(&mut self) {
        if let Some(side) = &mut self.bgp {
            side.bgp.flush();
        }
    }

    /// Holds sessions with the peers that are for this node.
    pub(super) fn settle_peers(&mut self) {
        let Some(side) = self.bgp.as_mut().filter(|side| side.begun) else { return };
        if !std::mem::take(&mut side.peers_due) {
            return;
        }
        let peers: Vec<Peer> = peers_here(&self.snapshot).into_iter().cloned().collect();
        let refused = refused_here(&self.snapshot);
        for problem in refused.iter().filter(|problem| !side.refused.contains(problem)) {
            warn!(kind = %problem.kind, name = &*problem.name, field = problem.field, "{problem}");
        }
        side.refused = refused;
        self.follow_secrets(&peers);
        let Some(side) = &mut self.bgp else { return };
        let mut wanted = Vec::new();
        let mut troubles = BTreeMap::new();
        for peer in &peers {
            let profile = peer.bfd_profile.as_ref();
            let profile = profile.and_then(|name| self.config.bfd_profiles.get(name));
            match terms_of(side, profile, peer) {
                Ok(Some(terms)) => wanted.push(terms),
                Ok(None) => {}
                Err(why) => {
                    let known = side.troubles.remove(&peer.name).filter(|(known, _)| *known == why);
                    if known.is_none() {
                        error!(op = "bgpPeer", peer = %peer.name, reason = why, "no new session");
                    }
                    let trouble = known.unwrap_or_else(|| (why, Timestamp::now()));
                    troubles.insert(peer.name.clone(), trouble);
                    // A session that is there goes on as it was.
                    wanted.extend(side.bgp.session(&peer.name).map(|(terms, _)| terms.clone()));
                }
            }
        }
        let before = std::mem::replace(&mut side.troubles, troubles);
        let mut concerned = side.bgp.set_peers(wanted);
        concerned.extend(before.into_keys());
        concerned.extend(side.troubles.keys().cloned());
        side.report(concerned.into_iter().map(Subject::Session));
        // Other peers are other audiences.
        let announced = side.stands.keys().cloned().map(Subject::Bgp).collect::<Vec<_>>();
        side.report(announced);
    }

    /// What is wrong with peers of this node, and only here.
    pub(super) fn bgp_errors(&self) -> Vec<String> {
        let Some(side) = &self.bgp else { return Vec::new() };
        let refused = side.refused.iter().map(|problem| problem.message.clone());
        let troubles = side.troubles.iter().map(|(peer, (why, _))| format!("peer {peer}: {why}"));
        refused.chain(troubles).collect()
    }

    /// Follows exactly the Secrets that peers of this node refer to.
    fn follow_secrets(&mut self, peers: &[Peer]) {
        let Some(side) = &mut self.bgp else { return };
        let named: BTreeSet<&Arc<str>> = peers
            .iter()
            .filter_map(|peer| match &peer.password {
                PasswordSource::Secret(name) => Some(name),
                PasswordSource::None | PasswordSource::Written(_) => None,
            })
            .collect();
        side.secrets.retain(|name, _| named.contains(name));
        for name in named {
            if !side.secrets.contains_key(name) {
                let (namespace, metrics) = (&self.parts.namespace, &self.parts.client_metrics);
                let watch = watch_secret(&side.client, namespace, name, metrics, &self.parts.post);
                let secret = Secret { _watch: watch, listed: false, row: None };
                side.secrets.insert(Arc::clone(name), secret);
            }
        }
    }

    /// Takes in what sessions tell.
    pub(super) fn take_news(&mut self) {
        let Some(side) = &mut self.bgp else { return };
        let news = side.bgp.news().take();
        let Outcome { services, peers, happened } = side.bgp.take(news);
        side.report(services.into_iter().map(Subject::Bgp));
        side.report(peers.into_iter().map(Subject::Session));
        for (peer, happening) in happened {
            self.tell_happening(&peer, &happening);
        }
    }

    fn tell_happening(&self, peer: &PeerName, happening: &Happening) {
        let node = &self.parts.node;
        let (reason, message) = match happening {
            Happening::Up(whom) => {
                info!(event = "sessionUp", %peer, "BGP session established {whom}");
                (EventReason::BgpSessionUp, format!("node \"{node}\" has a session {whom}"))
            }
            Happening::Down { was_up: true, why } => {
                warn!(event = "sessionDown", %peer, reason = &**why, "BGP session is down");
                (EventReason::BgpSessionDown, format!("session of node \"{node}\" is down: {why}"))
            }
            Happening::Down { was_up: false, why } => {
                warn!(event = "sessionFailed", %peer, reason = &**why, "no BGP session");
                (EventReason::BgpSessionDown, format!("node \"{node}\" has no session: {why}"))
            }
            Happening::Reset(field) => {
                info!(event = "sessionReset", %peer, field = &**field, "BGP session begins anew");
                let message = format!("session of node \"{node}\" begins anew: {field} changed");
                (EventReason::BgpSessionReset, message)
            }
        };
        let Some(object) = self.objects.peers.get(peer.as_str()) else { return };
        let text = |field: &Option<String>| field.as_deref().unwrap_or_default().into();
        let object = ObjectRef {
            api_version: ferrolb_api::BGPPeer::api_version(&()).into_owned().into(),
            kind: "BGPPeer".into(),
            namespace: self.parts.namespace.as_str().into(),
            name: peer.as_str().into(),
            uid: text(&object.metadata.uid),
            resource_version: text(&object.metadata.resource_version),
        };
        self.parts.recorder.record(&object, reason.event_type(), reason.as_str(), message);
    }

    /// Puts what is to be reported among what is written next, if its time has come.
    pub(super) fn report_bgp(&mut self) {
        let Some(side) = &mut self.bgp else { return };
        if side.reports_at.is_none_or(|at| at > Instant::now()) {
            return;
        }
        side.reports_at = None;
        side.has_reported = true;
        for subject in std::mem::take(&mut side.reports) {
            let changed = match &subject {
                Subject::Bgp(key) => self.reports.bgp.want(key, Peers::of(&side.bgp.audience(key))),
                Subject::Session(name) => {
                    let node = self.parts.node.as_str();
                    let content = match (side.bgp.session(name), side.troubles.get(name)) {
                        (Some((terms, view)), _) => Some(Session::content(node, terms, view)),
                        (None, Some(trouble)) => {
                            let peer = self.config.peers.get(name);
                            let address = peer.map(|peer| peer.address.to_string());
                            let address = address.unwrap_or_default();
                            Some(Session::refused(node, name, &address, trouble))
                        }
                        (None, None) => None,
                    };
                    self.reports.sessions.want(name, content)
                }
                Subject::Layer2(_) => false,
            };
            if changed {
                self.statuses_due.insert(subject);
            }
        }
    }
}

/// Whether nobody will speak for this node soon: it is gone, on its way out, or not to be used. An
/// API server that does not say is no reason to take routes back.
async fn leaves(client: Client, node: &NodeName) -> bool {
    let only = ListParams::default().fields(&format!("metadata.name={node}"));
    let nodes = Api::<Node>::all(client);
    let answer = tokio::time::timeout(ASK, nodes.list(&only)).await;
    let Ok(Ok(list)) = answer else {
        warn!(op = "askNode", "not known whether this node stays; taking the end for a restart");
        return false;
    };
    let Some(node) = list.items.into_iter().next() else { return true };
    let labels = node.metadata.labels.unwrap_or_default();
    let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
    node.metadata.deletion_timestamp.is_some()
        || node.spec.is_some_and(|spec| spec.unschedulable == Some(true))
        || labels.contains_key(EXCLUDE_LABEL)
        || conditions.iter().any(|condition| {
            // What a kubelet says when its host goes down in order.
            condition.type_ == "Ready"
                && condition.status != "True"
                && condition.message.as_deref().is_some_and(|it| it.contains("shutting down"))
        })
}

/// The terms of a session with `peer`; nothing as long as its Secret is not known.
fn terms_of(
    side: &Side,
    profile: Option<&BfdProfile>,
    peer: &Peer,
) -> Result<Option<Terms>, String> {
    if let PasswordSource::Secret(name) = &peer.password
        && side.secrets.get(name).is_none_or(|secret| !secret.listed)
    {
        // A session that is there goes on as it was.
        return Ok(side.bgp.session(&peer.name).map(|(terms, _)| terms.clone()));
    }
    let find = |name: &str| side.secrets.get(name)?.row.as_ref();
    let password = join_password(peer, find).map_err(|problem| problem.message)?;
    let terms = Terms::new(peer, password.as_ref(), profile, side.bgp.common());
    terms.map(Some).map_err(|error| error.to_string())
}

/// Reasons to be silent that somebody should look at.
const fn is_loud(reason: &Reason) -> bool {
    matches!(reason, Reason::ConflictingAdvertisements { .. })
}

fn join(ips: &[IpAddr]) -> String {
    let texts: Vec<String> = ips.iter().map(ToString::to_string).collect();
    texts.join(",")
}
