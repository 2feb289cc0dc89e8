//! What can go wrong between us and the API server, sorted by what to do about it.

use std::fmt;
use std::time::Duration;

use crate::resource::Resource;

/// Why a request did not do what it should.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Trouble {
    /// No answer: refused, reset, timed out.
    Unreachable(String),
    /// 403: a permission is missing.
    Forbidden(String),
    /// 404: no such object, or the server does not know the kind.
    Missing,
    /// 409: somebody else was faster, or the object exists.
    Conflict,
    /// 410: the version to continue from is gone.
    Expired,
    /// 429 or 5xx: the server cannot at the moment.
    Busy(u16, String),
    /// Any other status: the server does not want this request.
    Refused(u16, String),
    /// The answer could not be read.
    Garbled(String),
    /// Our own guard did not let the request out.
    Barred,
}

impl Trouble {
    pub(crate) fn of_status(code: u16, message: &str) -> Self {
        match code {
            403 => Self::Forbidden(message.to_owned()),
            404 => Self::Missing,
            409 => Self::Conflict,
            410 => Self::Expired,
            429 | 500..=599 => Self::Busy(code, message.to_owned()),
            _ => Self::Refused(code, message.to_owned()),
        }
    }

    /// Whether the same request may do better later.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Busy(..) | Self::Garbled(_))
    }

    /// The longest pause before the next attempt. A server that does not answer costs nobody
    /// anything, and is missed most: ask often. One that answers is spared.
    pub(crate) fn longest_pause(&self) -> Duration {
        match self {
            Self::Unreachable(_) => Duration::from_secs(2),
            Self::Missing => Duration::from_secs(5),
            _ => Duration::from_secs(10),
        }
    }

    /// Two troubles of one kind are the same to a reader of logs.
    pub(crate) fn kind(&self) -> std::mem::Discriminant<Self> {
        std::mem::discriminant(self)
    }
}

impl From<kube::Error> for Trouble {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(status.code, &status.message),
            kube::Error::SerdeError(error) => Self::Garbled(error.to_string()),
            kube::Error::FromUtf8(error) => Self::Garbled(error.to_string()),
            other => Self::Unreachable(innermost(&other)),
        }
    }
}

impl From<tokio::time::error::Elapsed> for Trouble {
    fn from(_: tokio::time::error::Elapsed) -> Self {
        Self::Unreachable("no answer in time".to_owned())
    }
}

/// The outer layers of transport errors only repeat that something failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// A trouble and the request it happened to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Failure {
    pub(crate) verb: &'static str,
    pub(crate) resource: String,
    pub(crate) namespace: Option<String>,
    pub(crate) trouble: Trouble,
}

impl Failure {
    pub(crate) fn new(
        verb: &'static str,
        resource: &Resource,
        subresource: Option<&str>,
        namespace: Option<&str>,
        trouble: Trouble,
    ) -> Self {
        let mut resource = resource.to_string();
        if let Some(subresource) = subresource {
            // RBAC writes the subresource behind the plural name, before the group.
            let end = resource.find('.').unwrap_or(resource.len());
            resource.insert_str(end, &format!("/{subresource}"));
        }
        Self { verb, resource, namespace: namespace.map(str::to_owned), trouble }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}", self.verb, self.resource)?;
        if let Some(namespace) = &self.namespace {
            write!(f, " in namespace {namespace}")?;
        }
        match &self.trouble {
            Trouble::Unreachable(why) => write!(f, ": the API server cannot be reached: {why}"),
            Trouble::Forbidden(why) => {
                write!(f, ": forbidden: needs verb \"{}\" ({why})", self.verb)
            }
            Trouble::Missing if matches!(self.verb, "list" | "watch" | "create") => {
                f.write_str(": the API server does not know this kind (is its CRD installed?)")
            }
            Trouble::Missing => f.write_str(": not found"),
            Trouble::Conflict => f.write_str(": it was changed meanwhile"),
            Trouble::Expired => f.write_str(": the version to continue from is gone"),
            Trouble::Busy(code, why) => write!(f, ": the API server answers {code}: {why}"),
            Trouble::Refused(code, why) => write!(f, ": refused with {code}: {why}"),
            Trouble::Barred => f.write_str(": this process does not lead"),
            Trouble::Garbled(why) => write!(f, ": unreadable answer: {why}"),
        }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;
    use k8s_openapi::api::discovery::v1::EndpointSlice;
    use rstest::rstest;

    use super::*;

    #[test]
    fn forbidden_names_verb_resource_and_namespace() {
        let resource = Resource::of::<EndpointSlice>();
        let trouble = Trouble::of_status(403, "no rule");
        let text = Failure::new("list", &resource, None, Some("team"), trouble).to_string();
        assert_eq!(
            text,
            "cannot list endpointslices.discovery.k8s.io in namespace team: \
             forbidden: needs verb \"list\" (no rule)"
        );
    }

    #[rstest]
    #[case::core(Resource::of::<Service>(), "services/status")]
    #[case::group(Resource::of::<EndpointSlice>(), "endpointslices/status.discovery.k8s.io")]
    fn subresource_is_written_as_rbac_does(#[case] resource: Resource, #[case] name: &str) {
        let failure = Failure::new("patch", &resource, Some("status"), None, Trouble::Missing);
        assert_eq!(failure.to_string(), format!("cannot patch {name}: not found"));
    }

    #[rstest]
    #[case(401, false)]
    #[case(403, false)]
    #[case(404, false)]
    #[case(409, false)]
    #[case(422, false)]
    #[case(429, true)]
    #[case(500, true)]
    #[case(503, true)]
    fn statuses_worth_another_try(#[case] code: u16, #[case] transient: bool) {
        assert_eq!(Trouble::of_status(code, "").is_transient(), transient);
    }
}
