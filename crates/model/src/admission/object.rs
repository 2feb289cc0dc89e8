//! An object of any kind of the configuration.

use ferrolb_api as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use crate::config::{ConfigObjects, Kind};

/// The kinds and the paths under which upstream validates them.
const PATHS: [(Kind, &str); 6] = [
    (Kind::IpAddressPool, "/validate-metallb-io-v1beta1-ipaddresspool"),
    (Kind::L2Advertisement, "/validate-metallb-io-v1beta1-l2advertisement"),
    (Kind::BgpAdvertisement, "/validate-metallb-io-v1beta1-bgpadvertisement"),
    (Kind::BgpPeer, "/validate-metallb-io-v1beta2-bgppeer"),
    (Kind::BfdProfile, "/validate-metallb-io-v1beta1-bfdprofile"),
    (Kind::Community, "/validate-metallb-io-v1beta1-community"),
];

/// The path under which objects of `kind` are validated.
pub fn webhook_path(kind: Kind) -> &'static str {
    PATHS.iter().find(|(one, _)| *one == kind).map_or("", |(_, path)| path)
}

/// The kind that is validated under `path`.
pub fn webhook_kind(path: &str) -> Option<Kind> {
    PATHS.iter().find(|(_, one)| *one == path).map(|(kind, _)| *kind)
}

/// One object.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time, never kept")]
pub enum Object {
    /// `IPAddressPool`.
    IpAddressPool(api::IPAddressPool),
    /// `L2Advertisement`.
    L2Advertisement(api::L2Advertisement),
    /// `BGPAdvertisement`.
    BgpAdvertisement(api::BGPAdvertisement),
    /// `BGPPeer`, of the stored version.
    BgpPeer(api::BGPPeer),
    /// `BFDProfile`.
    BfdProfile(api::BFDProfile),
    /// `Community`.
    Community(api::Community),
}

impl Object {
    /// Reads `value` as an object of `kind`.
    pub fn read(kind: Kind, value: Value) -> Result<Self, serde_json::Error> {
        Ok(match kind {
            Kind::IpAddressPool => Self::IpAddressPool(serde_json::from_value(value)?),
            Kind::L2Advertisement => Self::L2Advertisement(serde_json::from_value(value)?),
            Kind::BgpAdvertisement => Self::BgpAdvertisement(serde_json::from_value(value)?),
            Kind::BgpPeer => Self::BgpPeer(serde_json::from_value(value)?),
            Kind::BfdProfile => Self::BfdProfile(serde_json::from_value(value)?),
            Kind::Community => Self::Community(serde_json::from_value(value)?),
        })
    }

    pub(super) fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::IpAddressPool(object) => &object.metadata,
            Self::L2Advertisement(object) => &object.metadata,
            Self::BgpAdvertisement(object) => &object.metadata,
            Self::BgpPeer(object) => &object.metadata,
            Self::BfdProfile(object) => &object.metadata,
            Self::Community(object) => &object.metadata,
        }
    }

    /// Whether `other` wants the same.
    pub(super) fn is_spec_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::IpAddressPool(one), Self::IpAddressPool(two)) => one.spec == two.spec,
            (Self::L2Advertisement(one), Self::L2Advertisement(two)) => one.spec == two.spec,
            (Self::BgpAdvertisement(one), Self::BgpAdvertisement(two)) => one.spec == two.spec,
            (Self::BgpPeer(one), Self::BgpPeer(two)) => one.spec == two.spec,
            (Self::BfdProfile(one), Self::BfdProfile(two)) => one.spec == two.spec,
            (Self::Community(one), Self::Community(two)) => one.spec == two.spec,
            _ => false,
        }
    }
}

impl ConfigObjects {
    /// Puts `object` among those of its kind, in place of one of that name; whatever `metadata.name`
    /// it has itself.
    pub fn put(&mut self, name: &str, object: Object) {
        let name = name.to_owned();
        match object {
            Object::IpAddressPool(object) => drop(self.pools.insert(name, object)),
            Object::L2Advertisement(object) => drop(self.l2_advertisements.insert(name, object)),
            Object::BgpAdvertisement(object) => drop(self.bgp_advertisements.insert(name, object)),
            Object::BgpPeer(object) => drop(self.peers.insert(name, object)),
            Object::BfdProfile(object) => drop(self.bfd_profiles.insert(name, object)),
            Object::Community(object) => drop(self.communities.insert(name, object)),
        }
    }

    /// Takes the object `name` of `kind` out.
    pub(super) fn remove(&mut self, kind: Kind, name: &str) {
        match kind {
            Kind::IpAddressPool => drop(self.pools.remove(name)),
            Kind::L2Advertisement => drop(self.l2_advertisements.remove(name)),
            Kind::BgpAdvertisement => drop(self.bgp_advertisements.remove(name)),
            Kind::BgpPeer => drop(self.peers.remove(name)),
            Kind::BfdProfile => drop(self.bfd_profiles.remove(name)),
            Kind::Community => drop(self.communities.remove(name)),
        }
    }
}
