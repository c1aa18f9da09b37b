//! Exchanges before the image is taken, so that what a guest builds at its first use (caches of regular expressions, buffers) is in it.

use std::sync::Arc;

use wasmtime::Store;

use crate::{
    BodyMode, Declaration, Facts, Phase, Sample, TlsFacts,
    contract::{exports::portcullis::filter::filter::Guest, portcullis::filter::types as guest},
    instance::State,
    manifest::Message,
};

/// Runs each sample through the phases that are declared. What the plugin answers does not matter.
///
/// # Errors
/// When it traps, or a sample is no message.
pub async fn up(
    store: &mut Store<State>,
    exports: &Guest,
    wants: &Declaration,
    samples: &[Sample],
) -> wasmtime::Result<()> {
    for sample in samples {
        store.data_mut().begin(Box::new(facts()));
        let request = Sample::split(&sample.request).map_err(wasmtime::Error::from)?;
        let response = Sample::split(&sample.response).map_err(wasmtime::Error::from)?;
        store.data_mut().enter(Phase::RequestHead);
        let exchange = exports.exchange().call_constructor(&mut *store).await?;
        let calls = exports.exchange();
        if let Some(Message { first, fields, body }) = &request {
            let shown = shown(fields);
            let word = |at: usize, default: &'static str| first.get(at).map_or(default, String::as_str);
            let head = guest::RequestHead {
                method: word(0, "GET"),
                https: true,
                authority: fields.get("host").and_then(|host| host.to_str().ok()).unwrap_or("localhost"),
                target: word(1, "/"),
                version: guest::HttpVersion::Http11,
                fields: &shown,
            };
            if wants.request_head {
                calls.call_request_head(&mut *store, exchange, head).await?;
            }
            if wants.request_body != BodyMode::None && !store.data().skips.request {
                store.data_mut().enter(Phase::RequestBody);
                let end = Some(guest::BodyEnd::Complete(&[]));
                calls.call_request_body(&mut *store, exchange, body.as_bytes(), end).await?;
            }
        }
        if let Some(Message { first, fields, body }) = &response {
            let shown = shown(fields);
            let status = first.get(1).and_then(|status| status.parse().ok()).unwrap_or(200);
            if wants.response_head {
                store.data_mut().enter(Phase::ResponseHead);
                let head = guest::ResponseHead { status, fields: &shown };
                calls.call_response_head(&mut *store, exchange, head).await?;
            }
            if wants.response_body != BodyMode::None && !store.data().skips.response {
                store.data_mut().enter(Phase::ResponseBody);
                let end = Some(guest::BodyEnd::Complete(&[]));
                calls.call_response_body(&mut *store, exchange, body.as_bytes(), end).await?;
            }
        }
        if wants.log && response.is_some() {
            store.data_mut().enter(Phase::Log);
            calls.call_log(&mut *store, exchange, summary()).await?;
        }
        exchange.resource_drop_async(&mut *store).await?;
        store.data_mut().leave();
    }
    Ok(())
}

fn shown(fields: &http::HeaderMap) -> Vec<guest::FieldParam<'_>> {
    fields.iter().map(|(name, value)| guest::FieldParam { name: name.as_str(), value: value.as_bytes() }).collect()
}

/// Of an exchange that went well.
fn summary() -> guest::Summary<'static> {
    guest::Summary {
        status: 200,
        received: 0,
        sent: 0,
        duration_ns: 1_000_000,
        backend: None,
        endpoint: None,
        error: None,
        decided_by: None,
    }
}

/// Of a client that there cannot be: addresses of documentation (RFC 5737).
fn facts() -> Facts {
    let client = ([192, 0, 2, 1], 40000).into();
    let tls = TlsFacts {
        version: "TLSv1.3".into(),
        sni: Some("localhost".into()),
        alpn: Some("http/1.1".into()),
        ..TlsFacts::default()
    };
    Facts {
        client,
        peer: client,
        server: ([192, 0, 2, 2], 443).into(),
        tls: Some(Arc::new(tls)),
        listener: "warm".into(),
        route: "warm".into(),
        request_id: "00000000-0000-4000-8000-000000000000".into(),
        absolute_target: None,
    }
}
