//! Errors of an exchange: what happened (kind), whose doing it was (origin), and whether trying again is safe.
//!
//! Kinds are the proxy error types of RFC 9209 section 2.3, the same names that `wasi:http` uses. One file,
//! `respond`, turns errors into answers.

use std::{borrow::Cow, fmt};

/// Why an exchange (or a connection before its first exchange) failed.
#[derive(Clone, Debug)]
pub struct Error {
    /// What happened.
    pub kind: Kind,
    /// Whose doing it was.
    pub origin: Origin,
    /// Whether the same request may be sent again.
    pub retry: Retry,
    /// The status a client gets, when one can still be sent.
    pub status: u16,
    /// One sentence for the person who must act: what, where, the way out. No trailing full stop.
    pub detail: Cow<'static, str>,
}

impl Error {
    /// An error of the client's making, answered with `status`.
    pub fn client(kind: Kind, status: u16, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, origin: Origin::Client, retry: Retry::Never, status, detail: detail.into() }
    }

    /// An error of a backend's making, answered with the status that its kind recommends.
    pub fn backend(kind: Kind, retry: Retry, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, origin: Origin::Backend, retry, status: kind.status(), detail: detail.into() }
    }

    /// An error of a plugin's making, answered with 503: another try may do better, and the client is not to blame.
    pub fn plugin(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, origin: Origin::Plugin, retry: Retry::Never, status: 503, detail: detail.into() }
    }

    /// An error of our own or of our configuration.
    pub fn proxy(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, origin: Origin::Proxy, retry: Retry::Never, status: kind.status(), detail: detail.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.kind.name(), self.origin.name(), self.detail)
    }
}

impl std::error::Error for Error {}

/// Whose doing an error was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The client sent it, or went away.
    Client,
    /// Ours: configuration, limits, bugs.
    Proxy,
    /// A plugin's.
    Plugin,
    /// The backend's, its name's, or the network's on that side.
    Backend,
}

impl Origin {
    /// The word in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Proxy => "proxy",
            Self::Plugin => "plugin",
            Self::Backend => "backend",
        }
    }
}

/// Whether the same request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not one byte of it was sent.
    Unsent,
    /// It was sent, and refused or cut off before the first byte of a response: safe when the method is idempotent (RFC 9110 section 9.2.2).
    Idempotent,
    /// No.
    Never,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:literal;)*) => {
        /// A proxy error type of RFC 9209 section 2.3.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$doc])* $variant,)*
        }

        impl Kind {
            /// Every kind, for counters by kind.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)*];

            /// The registered name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The status that RFC 9209 recommends.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
        }
    };
}

kinds! {
    /// No answer from any nameserver in time.
    DnsTimeout = "dns_timeout", 504;
    /// A nameserver answered with an error.
    DnsError = "dns_error", 502;
    /// No route, or no such name.
    DestinationNotFound = "destination_not_found", 404;
    /// No endpoint may be used now.
    DestinationUnavailable = "destination_unavailable", 503;
    /// The address is one that may not be connected to.
    DestinationIpProhibited = "destination_ip_prohibited", 502;
    /// No way to the address.
    DestinationIpUnroutable = "destination_ip_unroutable", 502;
    /// Connection refused.
    ConnectionRefused = "connection_refused", 502;
    /// Closed or reset before the response was whole.
    ConnectionTerminated = "connection_terminated", 502;
    /// Connecting took too long.
    ConnectionTimeout = "connection_timeout", 504;
    /// Nothing was received for too long.
    ConnectionReadTimeout = "connection_read_timeout", 504;
    /// Nothing could be sent for too long.
    ConnectionWriteTimeout = "connection_write_timeout", 504;
    /// No connection was free.
    ConnectionLimitReached = "connection_limit_reached", 503;
    /// TLS failed.
    TlsProtocolError = "tls_protocol_error", 502;
    /// The certificate was not accepted.
    TlsCertificateError = "tls_certificate_error", 502;
    /// The other side sent an alert.
    TlsAlertReceived = "tls_alert_received", 502;
    /// The request is wrong.
    HttpRequestError = "http_request_error", 400;
    /// The request is not allowed.
    HttpRequestDenied = "http_request_denied", 403;
    /// The response ended too early.
    HttpResponseIncomplete = "http_response_incomplete", 502;
    /// The response head is too large.
    HttpResponseHeaderSectionSize = "http_response_header_section_size", 502;
    /// The response is larger than a plugin that has to see all of it can hold.
    HttpResponseBodySize = "http_response_body_size", 502;
    /// The response took too long.
    HttpResponseTimeout = "http_response_timeout", 504;
    /// The upgrade failed.
    HttpUpgradeFailed = "http_upgrade_failed", 502;
    /// The other side broke HTTP.
    HttpProtocolError = "http_protocol_error", 502;
    /// Something broke here.
    ProxyInternalError = "proxy_internal_error", 500;
    /// The configuration cannot serve this.
    ProxyConfigurationError = "proxy_configuration_error", 500;
}
