//! `[[listener]]` and `[[certificate]]`.

use std::{path::PathBuf, time::Duration};

use ipnet::IpNet;
use schemars::{Schema, SchemaGenerator, json_schema};

use super::{At, Filled, Limits, List, Read, choice::choice, net::Bind, number::Whole, table::table, text::Written};
use crate::{
    diagnostic::Sink,
    listener::TlsVersion,
    names::{BackendName, CertificateName, ListenerName},
    tree::{Kind, Node},
};

table! {
    /// A bound socket, and how its bytes are read.
    Listener {
        /// What routes call it. Default: its first address.
        name: ListenerName,
        /// One or several addresses with port; `:443` is that port of every address, IPv4 and IPv6.
        address: Filled<Bind> = required,
        /// What is spoken: `http` (with TLS when `tls` is there), or `tcp` (bytes, copied to `backend`). Default `http`.
        protocol: Proto,
        /// The backend of a `tcp` listener.
        backend: BackendName,
        /// Terminates TLS here; `tls = {}` takes every default.
        tls: Tls,
        /// Peers in these networks must open with a PROXY protocol header and are believed. Default: nobody.
        proxy_protocol: List<IpNet>,
        /// When not empty, only clients in these networks may connect.
        allow: List<IpNet>,
        /// Clients in these networks may not connect; decided before `allow`.
        deny: List<IpNet>,
        /// Refuses to start on an address that is not private. Default false.
        private: bool,
        /// Connections open at once. Default 16384.
        connections: Whole<1, 10_000_000>,
        /// Clients in these networks are believed what `Forwarded` and `X-Forwarded-*` say. Default: nobody.
        trusted: List<IpNet>,
        /// Overrides `[limits]` key by key.
        limits: Limits,
    }
}

table! {
    /// How TLS is terminated.
    Tls {
        /// The oldest version that is spoken. Default `1.2`.
        min_version: TlsVersion,
        /// What a client gets that names no host, or one that no certificate covers: `refuse`, or `{ certificate = "NAME" }`.
        /// Default `refuse`.
        unknown_sni: Unknown,
        /// From accept to the end of the handshake. Default 10s.
        handshake_time: Duration,
        /// Whether HTTP/2 is offered. Default true.
        h2: bool,
        /// For development: hosts that nothing else covers have certificates of an authority of this machine, whose root
        /// `portcullis certs root` prints. Default false.
        local: bool,
    }
}

table! {
    /// A certificate chain and its key, both in PEM files.
    Certificate {
        /// What `unknown_sni` calls it. Default: the path of `cert`.
        name: CertificateName,
        /// The chain, leaf first. A relative path starts at the folder of this file.
        cert: PathBuf = required,
        /// The leaf's private key.
        key: PathBuf = required,
    }
}

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proto {
    Http,
    Tcp,
}

choice!(Proto, "a protocol of a listener", {
    "http" => Proto::Http,
    "tcp" => Proto::Tcp,
});

choice!(TlsVersion, "a TLS version", {
    "1.2" => TlsVersion::Tls12,
    "1.3" => TlsVersion::Tls13,
});

/// `unknown_sni`.
#[derive(Clone, Debug)]
pub(crate) enum Unknown {
    Refuse,
    Certificate(At<CertificateName>),
}

/// The one word that `unknown_sni` knows.
#[derive(Clone, Copy, Debug)]
struct Refuse;

choice!(Refuse, "what happens to an unknown name", {
    "refuse" => Refuse,
});

table! {
    /// The certificate for unknown names.
    Fallback {
        /// The name of a certificate.
        certificate: CertificateName = required,
    }
}

impl Read for Unknown {
    fn read(node: &Node, out: &mut Sink<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Table(_) => Fallback::read(node, out)?.certificate.value.map(Self::Certificate),
            Kind::String(text) if Refuse::parse(text).is_err() => {
                out.error(
                    node.span,
                    format!("`{}` is not what can happen to an unknown name", super::table::clip(text)),
                )
                .expected("\"refuse\" or `{ certificate = \"NAME\" }`");
                None
            }
            Kind::String(_) => Some(Self::Refuse),
            _ => {
                out.error(node.span, format!("expected a string or a table, found {}", node.describe()))
                    .expected("\"refuse\" or `{ certificate = \"NAME\" }`");
                None
            }
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let word = <Refuse as Written>::schema();
        let table = Fallback::schema(generator);
        json_schema!({ "anyOf": [word, table] })
    }
}
