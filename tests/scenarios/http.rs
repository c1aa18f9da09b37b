//! HTTP.
//!
//! - HTTP/1.0, HTTP/1.1 and HTTP/2 in; HTTP/1.1 and h2c to backends, h2 in [`super::tls`]: [`versions`]
//! - WebSocket: [`upgrades`]; gRPC with trailers both ways: [`grpc`]; SSE and large bodies streamed: [`bodies`] (bounded memory: [`super::memory`])
//! - Expect: 100-continue, HEAD, Range untouched, with real clients and nginx: [`semantics`]
//! - hop-by-hop fields, `X-Forwarded-*` and `Forwarded`, `X-Request-Id`: [`fields`], [`forwarded`]
//! - path normalisation with the raw target kept: [`super::routes`]; strict framing: [`super::framing`]; limits: [`super::limits`]

mod bodies;
mod fields;
mod forwarded;
mod grpc;
mod semantics;
mod upgrades;
mod versions;
