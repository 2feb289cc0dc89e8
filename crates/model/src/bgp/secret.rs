//! The password of a session, once the Secret that a peer refers to is at hand (`bgp.md` 2.11).

use ferrolb_api::Password;

use super::{PasswordSource, Peer};
use crate::config::{Fault, Kind, Problem, ProblemReason};

/// The type of Secrets that hold a password.
const TYPE: &str = "kubernetes.io/basic-auth";

/// The longest password that TCP MD5 takes.
pub(crate) const PASSWORD_AT_MOST: usize = 80;

/// A Secret of the configuration namespace, as far as it is read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SecretRow {
    type_: String,
    key: Key,
}

/// Key `password` of a Secret.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Key {
    Absent,
    /// Too long for TCP MD5, or not even text.
    Unfit,
    Fit(Password),
}

impl SecretRow {
    /// A Secret of `type_`, with the value of its key `password` if it has that.
    pub fn new(type_: &str, password: Option<&[u8]>) -> Self {
        let text = password.map(std::str::from_utf8);
        let key = match text {
            None => Key::Absent,
            Some(Ok(text)) if text.len() <= PASSWORD_AT_MOST => Key::Fit(Password::new(text)),
            Some(_) => Key::Unfit,
        };
        Self { type_: type_.to_owned(), key }
    }
}

/// The password for sessions with `peer`; `find` looks up a Secret by name. A session whose password
/// cannot be had is not tried without one.
pub fn join_password<'a>(
    peer: &Peer,
    find: impl FnOnce(&str) -> Option<&'a SecretRow>,
) -> Result<Option<Password>, Problem> {
    let name = match &peer.password {
        PasswordSource::None => return Ok(None),
        PasswordSource::Written(password) => return Ok(Some(password.clone())),
        PasswordSource::Secret(name) => name,
    };
    let problem = |reason, cause: String| {
        let fault = Fault::at("spec.passwordSecret.name", name, &cause).because(reason);
        Kind::BgpPeer.problem(&peer.name, fault, false)
    };
    let Some(secret) = find(name) else {
        let cause = format!("no Secret {name:?} exists");
        return Err(problem(ProblemReason::DanglingReference, cause));
    };
    if secret.type_ != TYPE {
        let cause = format!("Secret {name:?} has type {:?}, not {TYPE:?}", secret.type_);
        return Err(problem(ProblemReason::InvalidValue, cause));
    }
    match &secret.key {
        Key::Fit(password) => Ok((!password.is_empty()).then(|| password.clone())),
        Key::Absent => {
            let cause = format!("Secret {name:?} has no key password");
            Err(problem(ProblemReason::Missing, cause))
        }
        Key::Unfit => {
            let cause = format!(
                "the password in Secret {name:?} is not text of at most {PASSWORD_AT_MOST} bytes"
            );
            Err(problem(ProblemReason::InvalidValue, cause))
        }
    }
}
