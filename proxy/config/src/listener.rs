//! `[[listener]]` and `[[certificate]]`: bound sockets, how their bytes are read, and the certificates they show.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::{
    Location,
    limits::Limits,
    names::{BackendName, CertificateName, ListenerName},
    network::Networks,
};

/// One or several bound addresses that are read alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Unique among listeners.
    pub name: ListenerName,
    /// Where the table starts.
    pub at: Location,
    /// At least one. No two listeners share one (an unspecified address, `0.0.0.0` or `[::]`, overlaps every address of its family on
    /// the same port).
    pub addresses: Vec<SocketAddr>,
    /// What is spoken inside.
    pub protocol: Protocol,
    /// TLS is terminated here when set. Only with [`Protocol::Http`].
    pub tls: Option<ListenerTls>,
    /// Peers in these networks must open with a PROXY protocol header (v1 or v2), and are believed. Others are read
    /// as they are, so that a header from them is a malformed request. Empty: nobody.
    pub proxy_protocol: Networks,
    /// When not empty, only these client networks may connect.
    pub allow: Networks,
    /// These client networks may not connect; decided before `allow`.
    pub deny: Networks,
    /// Refuses to start on an address outside loopback, RFC 1918, RFC 4193, link-local and RFC 6598 ranges (checked in
    /// this crate: an unspecified address is outside).
    pub private: bool,
    /// Connections open at once over all addresses. Default 16384. Over it: closed at accept and counted.
    pub connections: usize,
    /// Client networks whose `Forwarded` and `X-Forwarded-*` are believed. Default: none.
    pub trusted: Networks,
    /// Bounds on what a client sends.
    pub limits: Limits,
}

/// What a listener's bytes are, once PROXY header and TLS are taken off.
#[derive(Clone, Debug, PartialEq)]
pub enum Protocol {
    /// HTTP/1.1 and HTTP/2, routed per exchange; with TLS also SNI passthrough.
    Http,
    /// Bytes, copied to a backend's endpoint.
    Tcp {
        /// Where they go.
        backend: BackendName,
    },
}

/// How TLS is terminated.
#[derive(Clone, Debug, PartialEq)]
pub struct ListenerTls {
    /// Default 1.2.
    pub min_version: TlsVersion,
    /// What a client gets that names no host, or one that no certificate covers. Default: refuse
    /// (alert `unrecognized_name`).
    pub unknown_sni: UnknownSni,
    /// From accept to the end of the handshake. Default 10s.
    pub handshake_time: Duration,
    /// Whether `h2` is offered beside `http/1.1`. Default true.
    pub h2: bool,
    /// Whether every host that nothing else covers has a certificate of the machine's own authority. Default false.
    pub local: bool,
}

/// A TLS protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// RFC 5246
    Tls12,
    /// RFC 8446
    Tls13,
}

/// What happens when no certificate covers the name a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum UnknownSni {
    /// The handshake ends with an alert.
    Refuse,
    /// This certificate is shown.
    Certificate(CertificateName),
}

/// A chain and its key, both PEM. The names it is shown for are those in the certificate itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    /// Unique among certificates.
    pub name: CertificateName,
    /// Where the table starts.
    pub at: Location,
    /// The chain, leaf first. Relative paths start at the folder of the file that names them (already joined here).
    pub cert: PathBuf,
    /// The leaf's private key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}
