//! Backends that plugins ask, in tests: answers from a script.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::outcome::Text;
use crate::{Outbound, OutboundError};

/// One answer, used once, for the first request that it fits.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scripted {
    /// Whom the plugin asks. Named here, it is granted.
    pub backend: String,
    /// The method that it fits; any, if it is not there.
    pub method: Option<String>,
    /// Path and query that it fits; any, if they are not there.
    pub target: Option<String>,
    /// The status of the response, 200 if neither this nor `error` is there.
    pub status: Option<u16>,
    /// Its fields, by name.
    #[serde(default)]
    pub fields: std::collections::BTreeMap<String, String>,
    /// Its body.
    #[serde(default)]
    pub body: Text,
    /// In place of a response.
    pub error: Option<Reply>,
}

/// An error in place of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// No such backend.
    Denied,
    /// It could not be reached.
    Unavailable,
    /// Not in time.
    Timeout,
    /// Too large.
    Size,
}

/// The script of the exchange that runs, and what was asked in it.
#[derive(Clone, Default)]
pub struct Script(Arc<Mutex<Running>>);

#[derive(Default)]
struct Running {
    left: Vec<Scripted>,
    asked: Vec<String>,
}

impl Script {
    /// Begins again, with these answers.
    pub fn begin(&self, answers: &[Scripted]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Running { left: answers.to_vec(), asked: Vec::new() };
    }

    /// What was asked since.
    pub fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).asked.clone()
    }

    /// Answers requests until all senders are gone.
    pub async fn serve(self, mut requests: mpsc::Receiver<Outbound>) {
        while let Some(Outbound { backend, request, reply, .. }) = requests.recv().await {
            // A guest that is gone waits for nothing.
            drop(reply.send(self.answer(&backend, &request)));
        }
    }

    fn answer(&self, backend: &str, request: &http::Request<Bytes>) -> Result<http::Response<Bytes>, OutboundError> {
        let (method, target) = (request.method().as_str(), request.uri().to_string());
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.asked.push(format!("{backend}: {method} {target}"));
        let fits = |answer: &Scripted| {
            answer.backend == backend
                && answer.method.as_ref().is_none_or(|wanted| wanted == method)
                && answer.target.as_ref().is_none_or(|wanted| *wanted == target)
        };
        let Some(at) = running.left.iter().position(fits) else {
            return Err(OutboundError::Unavailable("the test has no answer to this request".into()));
        };
        running.left.remove(at).reply()
    }
}

impl Scripted {
    fn reply(self) -> Result<http::Response<Bytes>, OutboundError> {
        match self.error {
            Some(Reply::Denied) => return Err(OutboundError::Denied(self.backend)),
            Some(Reply::Unavailable) => return Err(OutboundError::Unavailable("the test says so".into())),
            Some(Reply::Timeout) => return Err(OutboundError::Timeout),
            Some(Reply::Size) => return Err(OutboundError::Size),
            None => {}
        }
        let mut response = http::Response::builder().status(self.status.unwrap_or(StatusCode::OK.as_u16()));
        for (name, value) in &self.fields {
            response = response.header(name, value);
        }
        response
            .body(Bytes::from(self.body.0))
            .map_err(|error| OutboundError::Unavailable(format!("the test's answer is no response: {error}")))
    }
}
