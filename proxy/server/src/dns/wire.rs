//! One query to one nameserver: UDP, then TCP when the answer was cut short (RFC 1035 section 4.2, RFC 7766).
//!
//! A UDP socket is opened for each query and connected, so that its port is a new random one (RFC 5452), datagrams from
//! anybody else never reach us, and a nameserver that is not there is noticed at once instead of after the time-out.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use hickory_proto::{
    op::{Edns, Message, MessageType, Query, ResponseCode},
    rr::{Name, RecordType},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

/// What we say we take in one datagram: it fits every path without fragments (DNS flag day 2020).
const UDP_PAYLOAD: u16 = 1232;

/// What we really take: some nameservers do not keep to what was said.
const UDP_BUFFER: usize = 4096;

/// A query is sent this often within its time, as datagrams get lost.
const TRANSMISSIONS: u32 = 3;

/// Why a nameserver gave no message.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("no answer within {0:?}")]
    Silent(Duration),
    #[error("{0}")]
    Unreachable(#[from] io::Error),
    #[error("an answer that is not a DNS message ({0})")]
    Garbled(String),
    #[error("a query that cannot be written ({0})")]
    Query(String),
}

/// Asks one nameserver. Its response codes are not judged here, but for one: a nameserver that does not know EDNS
/// is asked again without it (RFC 6891 section 7).
///
/// Ends within `time`, or twice that when TCP is needed. Cancel safe.
pub(super) async fn ask(server: SocketAddr, name: &Name, kind: RecordType, time: Duration) -> Result<Message, Trouble> {
    let query = Outgoing::new(name, kind)?;
    let within = |result: Result<_, _>| result.unwrap_or(Err(Trouble::Silent(time)));
    let reply = within(timeout(time, over_udp(server, &query, time)).await)?;
    if reply.metadata.truncation {
        return within(timeout(time, over_tcp(server, &query)).await);
    }
    Ok(reply)
}

/// A query, with and without EDNS, under one random id.
struct Outgoing {
    id: u16,
    query: Query,
    bytes: Vec<u8>,
    plain: Vec<u8>,
}

impl Outgoing {
    fn new(name: &Name, kind: RecordType) -> Result<Self, Trouble> {
        let unwritable = |error: hickory_proto::ProtoError| Trouble::Query(error.to_string());
        let query = Query::query(name.clone(), kind);
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(query.clone());
        let plain = message.to_vec().map_err(unwritable)?;
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_PAYLOAD).set_version(0);
        message.set_edns(edns);
        let bytes = message.to_vec().map_err(unwritable)?;
        Ok(Self { id: message.metadata.id, query, bytes, plain })
    }

    /// The message, if it answers this query; `None` if it is none of ours.
    fn accept(&self, bytes: &[u8]) -> Option<Result<Message, Trouble>> {
        if bytes.first_chunk() != Some(&self.id.to_be_bytes()) {
            return None;
        }
        let message = match Message::from_vec(bytes) {
            Ok(message) => message,
            Err(error) => return Some(Err(Trouble::Garbled(error.to_string()))),
        };
        let about_it = match message.queries.as_slice() {
            [query] => *query == self.query,
            // Some nameservers leave the question out of an error.
            [] => message.metadata.response_code != ResponseCode::NoError,
            _ => false,
        };
        (about_it && message.metadata.message_type == MessageType::Response).then_some(Ok(message))
    }

    /// Whether the other side stumbled over EDNS.
    fn wants_plain(message: &Message) -> bool {
        matches!(message.metadata.response_code, ResponseCode::FormErr | ResponseCode::NotImp | ResponseCode::BADVERS)
    }
}

/// Never ends by itself while the nameserver is silent: the caller has the deadline.
async fn over_udp(server: SocketAddr, query: &Outgoing, time: Duration) -> Result<Message, Trouble> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    let mut buffer = vec![0; UDP_BUFFER];
    let mut bytes = &query.bytes;
    loop {
        socket.send(bytes).await?;
        let reply = async {
            loop {
                let length = socket.recv(&mut buffer).await?;
                if let Some(reply) = query.accept(&buffer[..length]) {
                    return reply;
                }
            }
        };
        match timeout(time / TRANSMISSIONS, reply).await {
            Ok(Ok(message)) if Outgoing::wants_plain(&message) && *bytes != query.plain => bytes = &query.plain,
            Ok(reply) => return reply,
            Err(_) => {}
        }
    }
}

async fn over_tcp(server: SocketAddr, query: &Outgoing) -> Result<Message, Trouble> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.bytes.len()).map_err(|error| Trouble::Query(error.to_string()))?;
    // One write, one segment: some nameservers read no further than the first.
    let mut framed = Vec::with_capacity(2 + query.bytes.len());
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(&query.bytes);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await?;
    match query.accept(&bytes) {
        Some(reply) => reply,
        None => Err(Trouble::Garbled("it answers another question".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_proto::op::OpCode;
    use proptest::prelude::*;

    fn outgoing() -> Outgoing {
        Outgoing::new(&Name::from_ascii("app.internal.").unwrap(), RecordType::A).unwrap()
    }

    fn response(id: u16, name: &str) -> Message {
        let mut message = Message::response(id, OpCode::Query);
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
        message
    }

    #[test]
    fn takes_the_answer_to_its_question_only() {
        let query = outgoing();
        let accepts = |message: Message| query.accept(&message.to_vec().unwrap()).is_some();
        assert!(accepts(response(query.id, "app.internal.")));
        assert!(accepts(response(query.id, "APP.internal.")));
        assert!(!accepts(response(query.id.wrapping_add(1), "app.internal.")));
        assert!(!accepts(response(query.id, "other.internal.")));
        assert!(query.accept(&query.bytes).is_none(), "a query is no answer");
        let mut bare = Message::response(query.id, OpCode::Query);
        assert!(!accepts(bare.clone()));
        bare.metadata.response_code = ResponseCode::Refused;
        assert!(accepts(bare));
    }

    #[test]
    fn says_garbled_when_the_id_is_right_and_the_rest_is_not() {
        let query = outgoing();
        let mut bytes = query.id.to_be_bytes().to_vec();
        bytes.extend([0x80, 0, 0, 1, 0, 1]);
        assert!(matches!(query.accept(&bytes), Some(Err(Trouble::Garbled(_)))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let query = outgoing();
            for (byte, id) in bytes.iter_mut().zip(query.id.to_be_bytes()) {
                *byte = id;
            }
            let _ = query.accept(&bytes);
        }
    }
}
