//! A nameserver on loopback, UDP and TCP, whose records change and which misbehaves on demand.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use hickory_proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{Name, RData, Record, RecordType, rdata},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UdpSocket},
    task::JoinSet,
};

pub(super) fn a(address: &str, ttl: u32) -> (u32, RData) {
    (ttl, RData::A(rdata::A(address.parse().unwrap())))
}

pub(super) fn aaaa(address: &str, ttl: u32) -> (u32, RData) {
    (ttl, RData::AAAA(rdata::AAAA(address.parse().unwrap())))
}

pub(super) fn cname(target: &str, ttl: u32) -> (u32, RData) {
    (ttl, RData::CNAME(rdata::CNAME(Name::from_ascii(target).unwrap())))
}

pub(super) fn srv(priority: u16, weight: u16, port: u16, target: &str, ttl: u32) -> (u32, RData) {
    (ttl, RData::SRV(rdata::SRV::new(priority, weight, port, Name::from_ascii(target).unwrap())))
}

pub(super) fn soa() -> Record {
    let name = |text| Name::from_ascii(text).unwrap();
    let soa = rdata::SOA::new(name("ns.internal."), name("ops.internal."), 1, 60, 60, 60, 10);
    Record::from_rdata(name("internal."), 10, RData::SOA(soa))
}

pub(super) struct Nameserver {
    address: SocketAddr,
    behaviour: Arc<Mutex<Behaviour>>,
    /// Ends with this value.
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Behaviour {
    records: HashMap<Name, Vec<(u32, RData)>>,
    asked: Vec<String>,
    tcp_queries: usize,
    silent: bool,
    ignored: Option<RecordType>,
    code: Option<ResponseCode>,
    one_alias: bool,
    no_edns: bool,
    garbled: bool,
}

impl Nameserver {
    pub(super) async fn start() -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            // The port may be taken for TCP.
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let behaviour = Arc::new(Mutex::new(Behaviour::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, Arc::clone(&behaviour)));
        tasks.spawn(serve_tcp(tcp, Arc::clone(&behaviour)));
        Self { address, behaviour, _tasks: tasks }
    }

    fn with(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour.lock().unwrap()
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds records.
    pub(super) fn set(&self, name: &str, records: Vec<(u32, RData)>) {
        self.with().records.entry(Name::from_ascii(name).unwrap()).or_default().extend(records);
    }

    pub(super) fn replace(&self, name: &str, records: Vec<(u32, RData)>) {
        self.with().records.insert(Name::from_ascii(name).unwrap(), records);
    }

    pub(super) fn remove(&self, name: &str) {
        self.with().records.remove(&Name::from_ascii(name).unwrap());
    }

    /// Every name that was asked for, in order.
    pub(super) fn asked(&self) -> Vec<String> {
        self.with().asked.clone()
    }

    pub(super) fn tcp_queries(&self) -> usize {
        self.with().tcp_queries
    }

    pub(super) fn silence(&self, silent: bool) {
        self.with().silent = silent;
    }

    /// Gives no answer about this kind of record.
    pub(super) fn ignore(&self, kind: Option<RecordType>) {
        self.with().ignored = kind;
    }

    pub(super) fn fail_with(&self, code: Option<ResponseCode>) {
        self.with().code = code;
    }

    /// Says of an alias no more than that it is one.
    pub(super) fn one_alias_at_a_time(&self, on: bool) {
        self.with().one_alias = on;
    }

    /// Answers FORMERR to EDNS.
    pub(super) fn without_edns(&self, on: bool) {
        self.with().no_edns = on;
    }

    pub(super) fn garble(&self, on: bool) {
        self.with().garbled = on;
    }
}

async fn serve_udp(socket: UdpSocket, behaviour: Arc<Mutex<Behaviour>>) {
    let mut buffer = vec![0; 4096];
    loop {
        // An ICMP error about an earlier answer is none of this one's business.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let reply = behaviour.lock().unwrap().reply(&buffer[..length], true);
        if let Some(reply) = reply {
            let _ = socket.send_to(&reply, from).await;
        }
    }
}

async fn serve_tcp(listener: TcpListener, behaviour: Arc<Mutex<Behaviour>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let length = stream.read_u16().await.unwrap();
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await.unwrap();
        let reply = {
            let mut behaviour = behaviour.lock().unwrap();
            behaviour.tcp_queries += 1;
            behaviour.reply(&query, false)
        };
        if let Some(reply) = reply {
            stream.write_u16(reply.len().try_into().unwrap()).await.unwrap();
            stream.write_all(&reply).await.unwrap();
        }
    }
}

impl Behaviour {
    fn reply(&mut self, query: &[u8], udp: bool) -> Option<Vec<u8>> {
        let query = Message::from_vec(query).unwrap();
        let question = query.queries[0].clone();
        self.asked.push(question.name().to_ascii());
        if self.silent || self.ignored == Some(question.query_type()) {
            return None;
        }
        let mut reply = Message::response(query.metadata.id, OpCode::Query);
        reply.add_query(question.clone());
        if self.garbled {
            let mut bytes = reply.to_vec().unwrap();
            bytes[7] = 9;
            return Some(bytes);
        }
        if let Some(code) = self.code.or((self.no_edns && query.edns.is_some()).then_some(ResponseCode::FormErr)) {
            reply.metadata.response_code = code;
            return Some(reply.to_vec().unwrap());
        }
        let mut name = question.name().clone();
        for _ in 0..4 {
            let records = self.records.get(&name).cloned().unwrap_or_default();
            let mut alias = None;
            for (ttl, data) in records {
                if let RData::CNAME(target) = &data {
                    alias = Some(target.0.clone());
                } else if data.record_type() != question.query_type() {
                    continue;
                }
                reply.add_answer(Record::from_rdata(name.clone(), ttl, data));
            }
            match alias {
                Some(target) if !self.one_alias => name = target,
                _ => break,
            }
        }
        if reply.answers.is_empty() {
            reply.add_authority(soa());
            if !self.records.contains_key(question.name()) {
                reply.metadata.response_code = ResponseCode::NXDomain;
            }
        }
        let bytes = reply.to_vec().unwrap();
        if udp && bytes.len() > usize::from(query.max_payload()) {
            reply.answers.clear();
            reply.metadata.truncation = true;
            return Some(reply.to_vec().unwrap());
        }
        Some(bytes)
    }
}
