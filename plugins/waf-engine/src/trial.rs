//! An exchange from beginning to end without a network: for tests and for tools that ask what rules would do.

mod memory;
mod wire;

pub use self::{
    memory::Memory,
    wire::{first_request, requests},
};
use crate::{
    transaction::{BodyEnd, Decision, Engine, Intervention, RequestHead, ResponseHead, Start, Transaction},
    world::World,
};

/// Header fields in order, repeated ones repeated.
pub type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A request as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// As sent.
    pub method: Vec<u8>,
    /// As sent.
    pub target: Vec<u8>,
    /// `HTTP/1.1`.
    pub protocol: Vec<u8>,
    /// As sent.
    pub fields: Fields,
    /// Without what frames it.
    pub body: Vec<u8>,
}

impl Request {
    /// The first field of that name, in any case.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        let named = |(known, _): &&(Vec<u8>, Vec<u8>)| known.eq_ignore_ascii_case(name.as_bytes());
        self.fields.iter().find(named).map(|(_, value)| &value[..])
    }
}

/// What a backend says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// 200 to 599.
    pub status: u16,
    /// `HTTP/1.1`.
    pub protocol: Vec<u8>,
    /// As sent.
    pub fields: Fields,
    /// Without what frames it.
    pub body: Vec<u8>,
}

impl Response {
    /// 200 and nothing more.
    pub fn empty() -> Self {
        let fields = vec![(b"Content-Length".to_vec(), b"0".to_vec())];
        Self { status: 200, protocol: b"HTTP/1.1".to_vec(), fields, body: Vec::new() }
    }
}

/// Judges an exchange as an adapter does: phase after phase until one says no, then the logging phase. `answer` is the backend, asked
/// only where no rule was against it. The transaction can then be asked what matched.
pub fn judge(
    engine: &Engine,
    world: &dyn World,
    transaction: &mut Transaction,
    request: &Request,
    answer: &dyn Fn(&Request) -> Response,
) -> Option<Intervention> {
    let refusal = phases(engine, world, transaction, request, answer);
    let status = match &refusal {
        Err(intervention) => intervention.status,
        Ok(status) => *status,
    };
    transaction.logging(engine, world, status);
    refusal.err()
}

/// A new transaction, judged.
pub fn begin_and_judge(
    engine: &Engine,
    world: &dyn World,
    start: &Start<'_>,
    request: &Request,
    answer: &dyn Fn(&Request) -> Response,
) -> (Transaction, Option<Intervention>) {
    let mut transaction = Transaction::begin(engine, start);
    let intervention = judge(engine, world, &mut transaction, request, answer);
    (transaction, intervention)
}

fn phases(
    engine: &Engine,
    world: &dyn World,
    transaction: &mut Transaction,
    request: &Request,
    answer: &dyn Fn(&Request) -> Response,
) -> Result<u16, Intervention> {
    let go_on = |decision| match decision {
        Decision::Pass => Ok(()),
        Decision::Intervene(intervention) => Err(intervention),
    };
    let fields = borrowed(&request.fields);
    let head =
        RequestHead { method: &request.method, target: &request.target, protocol: &request.protocol, fields: &fields };
    go_on(transaction.request_head(engine, world, &head))?;
    let limit = engine.settings().request_body_limit;
    let (body, end) = cut(&request.body, transaction.wants_request_body(engine), limit);
    go_on(transaction.request_body(engine, world, body, end))?;
    let response = answer(request);
    let fields = borrowed(&response.fields);
    let head = ResponseHead { status: response.status, protocol: &response.protocol, fields: &fields };
    go_on(transaction.response_head(engine, world, &head))?;
    let limit = engine.settings().response_body_limit;
    let (body, end) = cut(&response.body, transaction.wants_response_body(engine), limit);
    go_on(transaction.response_body(engine, world, body, end))?;
    Ok(response.status)
}

fn cut(body: &[u8], wanted: bool, limit: u64) -> (&[u8], BodyEnd) {
    match usize::try_from(limit) {
        _ if !wanted => (&[], BodyEnd::Complete),
        Ok(limit) if body.len() > limit => (&body[..limit], BodyEnd::Limit),
        _ => (body, BodyEnd::Complete),
    }
}

fn borrowed(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<(&[u8], &[u8])> {
    fields.iter().map(|(name, value)| (&name[..], &value[..])).collect()
}
