//! Reasons of the Events that we record. The words are upstream's where it has the reason, because
//! people filter and alert by them.

use std::fmt;

/// Whether an Event tells of the normal course of things or of something to look at.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum EventType {
    /// As it should be.
    Normal,
    /// Somebody should look.
    Warning,
}

impl EventType {
    /// The value of the Event's `type` field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an Event was recorded.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum EventReason {
    /// The Service got an address, or one of a second family.
    IpAllocated,
    /// The second family that was asked for could not be had.
    AdditionalAssignFailed,
    /// The Service lost its address, because the configuration no longer allows it.
    ClearAssignment,
    /// No address could be found, or the request cannot be met.
    AllocationFailed,
    /// The requested addresses make no sense; the Service keeps what it has.
    LoadBalancerFailed,
    /// The addresses in the Service's status do not fit its families.
    LoadBalancerIpsFamily,
    /// The cluster addresses of the Service do not fit its families.
    ClusterIpsFamily,
    /// The Service requires two families and has one cluster address.
    NotEnoughClusterIps,
    /// The Service showed an address that another one has an earlier claim to. Not known upstream.
    AddressDuplicate,
    /// Another controller writes the addresses of the Service too. Not known upstream.
    RivalController,
    /// A configuration of version 0.12 or before is there, which nobody reads. Not known upstream.
    LegacyConfig,
    /// The Service asked for, and got, an address that nodes answer for. Not known upstream.
    NodeAddress,
    /// An object of the configuration is invalid; the last valid version keeps acting. Not an event
    /// upstream, where it is the reason of a condition.
    ConfigurationError,
    /// A bug of ours.
    InternalError,
    /// The Service uses an annotation under its old prefix.
    DeprecatedAnnotation,
    /// A node began to announce the Service.
    NodeAssigned,
    /// A node should announce the Service and cannot.
    AnnounceFailed,
    /// A station outside the cluster speaks for an address of the Service. Not known upstream.
    AddressConflict,
    /// A BGP session came up. Not known upstream.
    BgpSessionUp,
    /// A BGP session went down, or cannot be had. Not known upstream.
    BgpSessionDown,
    /// A BGP session begins anew because its configuration changed. Not known upstream.
    BgpSessionReset,
}

impl EventReason {
    /// All reasons.
    pub const ALL: [Self; 21] = [
        Self::IpAllocated,
        Self::AdditionalAssignFailed,
        Self::ClearAssignment,
        Self::AllocationFailed,
        Self::LoadBalancerFailed,
        Self::LoadBalancerIpsFamily,
        Self::ClusterIpsFamily,
        Self::NotEnoughClusterIps,
        Self::AddressDuplicate,
        Self::RivalController,
        Self::LegacyConfig,
        Self::NodeAddress,
        Self::ConfigurationError,
        Self::InternalError,
        Self::DeprecatedAnnotation,
        Self::NodeAssigned,
        Self::AnnounceFailed,
        Self::AddressConflict,
        Self::BgpSessionUp,
        Self::BgpSessionDown,
        Self::BgpSessionReset,
    ];

    /// The value of the Event's `reason` field.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IpAllocated => "IPAllocated",
            Self::AdditionalAssignFailed => "AdditionalAssignFailed",
            Self::ClearAssignment => "ClearAssignment",
            Self::AllocationFailed => "AllocationFailed",
            Self::LoadBalancerFailed => "LoadBalancerFailed",
            Self::LoadBalancerIpsFamily => "nolbIPsIPFamily",
            Self::ClusterIpsFamily => "noclusterIPsIPFamily",
            Self::NotEnoughClusterIps => "not enough clusterips",
            Self::AddressDuplicate => "AddressDuplicate",
            Self::RivalController => "RivalController",
            Self::LegacyConfig => "LegacyConfig",
            Self::NodeAddress => "NodeAddress",
            Self::ConfigurationError => "ConfigurationError",
            Self::InternalError => "InternalError",
            Self::DeprecatedAnnotation => "deprecatedAnnotation",
            Self::NodeAssigned => "nodeAssigned",
            Self::AnnounceFailed => "announceFailed",
            Self::AddressConflict => "AddressConflict",
            Self::BgpSessionUp => "BGPSessionUp",
            Self::BgpSessionDown => "BGPSessionDown",
            Self::BgpSessionReset => "BGPSessionReset",
        }
    }

    /// The type of Events with this reason.
    pub const fn event_type(self) -> EventType {
        match self {
            Self::IpAllocated
            | Self::AdditionalAssignFailed
            | Self::ClearAssignment
            | Self::NodeAssigned
            | Self::BgpSessionUp
            | Self::BgpSessionReset => EventType::Normal,
            Self::AllocationFailed
            | Self::LoadBalancerFailed
            | Self::LoadBalancerIpsFamily
            | Self::ClusterIpsFamily
            | Self::NotEnoughClusterIps
            | Self::AddressDuplicate
            | Self::RivalController
            | Self::LegacyConfig
            | Self::NodeAddress
            | Self::ConfigurationError
            | Self::InternalError
            | Self::DeprecatedAnnotation
            | Self::AnnounceFailed
            | Self::AddressConflict
            | Self::BgpSessionDown => EventType::Warning,
        }
    }
}

impl fmt::Display for EventReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_types_are_as_users_know_them() {
        let listed: Vec<_> =
            EventReason::ALL.iter().map(|r| (r.as_str(), r.event_type().as_str())).collect();
        assert_eq!(
            listed,
            [
                ("IPAllocated", "Normal"),
                ("AdditionalAssignFailed", "Normal"),
                ("ClearAssignment", "Normal"),
                ("AllocationFailed", "Warning"),
                ("LoadBalancerFailed", "Warning"),
                ("nolbIPsIPFamily", "Warning"),
                ("noclusterIPsIPFamily", "Warning"),
                ("not enough clusterips", "Warning"),
                ("AddressDuplicate", "Warning"),
                ("RivalController", "Warning"),
                ("LegacyConfig", "Warning"),
                ("NodeAddress", "Warning"),
                ("ConfigurationError", "Warning"),
                ("InternalError", "Warning"),
                ("deprecatedAnnotation", "Warning"),
                ("nodeAssigned", "Normal"),
                ("announceFailed", "Warning"),
                ("AddressConflict", "Warning"),
                ("BGPSessionUp", "Normal"),
                ("BGPSessionDown", "Warning"),
                ("BGPSessionReset", "Normal"),
            ]
        );
    }
}
