//! The one error of this crate: a request the kernel did not grant.

use std::{fmt, io};

/// What was asked, of which interface, address or group, and the kernel's answer.
#[derive(Debug, thiserror::Error)]
#[error("{operation} {subject}: {cause}")]
pub struct Error {
    operation: &'static str,
    subject: String,
    cause: io::Error,
}

impl Error {
    /// `operation` reads as the start of a sentence that `subject` ends: "listen on", "eth0".
    pub(crate) fn new(
        operation: &'static str,
        subject: impl fmt::Display,
        cause: io::Error,
    ) -> Self {
        Self { operation, subject: subject.to_string(), cause }
    }

    /// The same error in the shape [`Result::map_err`] wants.
    pub(crate) fn of(
        operation: &'static str,
        subject: impl fmt::Display,
    ) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::new(operation, subject, cause)
    }

    /// The kernel's answer.
    pub fn cause(&self) -> &io::Error {
        &self.cause
    }

    /// Whether the interface is down or has just been removed (`ENETDOWN`). A packet socket says so
    /// once and goes on by itself when the interface comes up again; after a removal it stays silent.
    pub fn is_interface_down(&self) -> bool {
        self.cause.raw_os_error() == Some(libc::ENETDOWN)
    }

    /// Whether the interface no longer exists (`ENXIO`, `ENODEV`): the socket is of no more use.
    pub fn is_interface_gone(&self) -> bool {
        matches!(self.cause.raw_os_error(), Some(libc::ENXIO | libc::ENODEV))
    }

    /// Whether the process lacks the right, which for packet sockets is `CAP_NET_RAW`.
    pub fn is_permission_denied(&self) -> bool {
        self.cause.kind() == io::ErrorKind::PermissionDenied
    }
}
