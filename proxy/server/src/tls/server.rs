//! How a listener terminates TLS.

use std::sync::Arc;

use portcullis_config::listener::{ListenerTls, TlsVersion, UnknownSni};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs::Ticketer,
    server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions},
    version::{TLS12, TLS13},
};

use super::{
    provider::provider,
    store::{Resolver, Store},
};

/// What lets clients resume sessions. One per process, made once: sessions survive reloads and work on every worker.
///
/// All listeners may share it because a session carries its version and its server name, both of which rustls compares, and
/// because the resolver is asked before a session is looked at: a name whose certificate is gone is refused. Client
/// certificates, once there are any, need one of these for each way of verifying them.
#[derive(Debug)]
pub struct Resumption {
    /// Keys change every six hours; the previous one is still taken.
    tickets: Arc<dyn ProducesTickets>,
    /// For TLS 1.2 clients without ticket support, the only ones that need memory here.
    sessions: Arc<dyn StoresServerSessions>,
}

impl Resumption {
    /// Fails only when the system has no randomness to give.
    pub fn new() -> Result<Self, rustls::Error> {
        Ok(Self { tickets: Ticketer::new()?, sessions: ServerSessionMemoryCache::new(SESSIONS) })
    }
}

/// How one listener terminates TLS.
#[derive(Clone, Debug)]
pub struct ServerTls {
    pub(super) config: Arc<ServerConfig>,
    pub(super) resolver: Arc<Resolver>,
    pub(super) min_version: TlsVersion,
}

impl ServerTls {
    /// Cheap: no file is read. The certificates are those of `store` at the time of each handshake.
    pub fn new(listener: &ListenerTls, store: Arc<Store>, resumption: &Resumption) -> Self {
        let default = match &listener.unknown_sni {
            UnknownSni::Refuse => None,
            UnknownSni::Certificate(name) => Some(name.shared()),
        };
        let resolver = Arc::new(Resolver::new(store, default, listener.local));
        let versions: &[&SupportedProtocolVersion] = match listener.min_version {
            TlsVersion::Tls12 => &[&TLS13, &TLS12],
            TlsVersion::Tls13 => &[&TLS13],
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .expect("the provider has suites of both versions")
            .with_no_client_auth()
            .with_cert_resolver(resolver.clone());
        config.alpn_protocols =
            if listener.h2 { vec![b"h2".into(), b"http/1.1".into()] } else { vec![b"http/1.1".into()] };
        config.ticketer = resumption.tickets.clone();
        config.session_storage = resumption.sessions.clone();
        // One ticket costs a derived key, an encryption and a record at every handshake. A client that resumes gets a new
        // one; a client that wants several for parallel connections asks for them (RFC 9149).
        config.send_tls13_tickets = 1;
        config.max_tls13_tickets = 4;
        // RFC 8446 section 8: early data can be replayed. Requests are not all idempotent, so none is taken. For the same
        // reason nothing is sent before the client's Finished.
        config.max_early_data_size = 0;
        config.send_half_rtt_data = false;
        Self { config: Arc::new(config), resolver, min_version: listener.min_version }
    }

    /// For tests and tools that drive rustls themselves.
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }
}

/// About 200 bytes each.
const SESSIONS: usize = 2048;
