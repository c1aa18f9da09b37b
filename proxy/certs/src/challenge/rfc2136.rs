//! TXT records by dynamic update (RFC 2136), signed with TSIG (RFC 8945), over TCP.

use std::{future::Future, net::SocketAddr, pin::Pin, str::FromStr, time::Duration};

use hickory_proto::{
    op::{Message, Query, ResponseCode, update_message},
    rr::{Name, RData, Record, RecordSet, RecordType, TSigner, rdata::TXT, rdata::tsig::TsigAlgorithm},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::Records;
use crate::{clock::Instant, settings::TsigKey};

/// For one question.
const TIME: Duration = Duration::from_secs(10);
/// For the record to be there after the update. The primary knows it at once.
const SEEN: Duration = Duration::from_secs(30);
/// How far clocks may be apart (RFC 8945 section 10 recommends it).
const FUDGE: u16 = 300;
/// How long others may keep the record, in seconds: it is of use once.
const TTL: u32 = 30;

/// A primary server that takes updates.
pub struct Updates {
    server: SocketAddr,
    zone: Option<Name>,
    signer: Option<TSigner>,
}

impl std::fmt::Debug for Updates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Updates").field("server", &self.server).field("zone", &self.zone).finish_non_exhaustive()
    }
}

impl Updates {
    /// The server, the zone where it is not to be asked for, and the key where updates are signed.
    ///
    /// # Errors
    /// A sentence: the zone or the key's name is no name, or the algorithm is another one.
    pub fn new(server: SocketAddr, zone: Option<&str>, key: Option<&TsigKey>) -> Result<Self, String> {
        let signer = key.map(signer).transpose()?;
        Ok(Self { server, zone: zone.map(name).transpose()?, signer })
    }

    async fn update(&self, at: &str, value: &str, add: bool) -> Result<(), String> {
        let at = name(at)?;
        let zone = self.zone(&at).await?;
        if !zone.zone_of(&at) {
            return Err(format!("{at} is not in the zone {zone}"));
        }
        let mut records = RecordSet::with_ttl(at.clone(), RecordType::TXT, TTL);
        records.add_rdata(text(value));
        let mut message = match add {
            true => update_message::append(records, zone.clone(), false, false),
            false => update_message::delete_by_rdata(records, zone.clone(), false),
        };
        let answer = self.ask(&mut message, true).await?;
        match answer.response_code {
            ResponseCode::NoError => {}
            code => return Err(format!("{} refuses the update of {at} in {zone}: {code}", self.server)),
        }
        if !add {
            return Ok(());
        }
        let deadline = tokio::time::Instant::now() + SEEN;
        while !self.has(&at, value).await? {
            if tokio::time::Instant::now() >= deadline {
                return Err(format!("{} took the update of {at}, and does not answer with it", self.server));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }

    async fn has(&self, at: &Name, value: &str) -> Result<bool, String> {
        let answer = self.query(at.clone(), RecordType::TXT).await?;
        let wanted = text(value);
        Ok(answer.answers.iter().any(|record| record.data == wanted))
    }

    /// The zone that `at` is in: the server says so in the SOA record of its answer, or of the authority section (RFC 2308 section 3).
    async fn zone(&self, at: &Name) -> Result<Name, String> {
        if let Some(zone) = &self.zone {
            return Ok(zone.clone());
        }
        let answer = self.query(at.clone(), RecordType::SOA).await?;
        let is_soa = |record: &&Record| record.record_type() == RecordType::SOA;
        let found = answer.answers.iter().chain(&answer.authorities).find(is_soa);
        found.map(|record| record.name.clone()).ok_or_else(|| {
            format!("{} does not say which zone {at} is in ({}); write `zone`", self.server, answer.response_code)
        })
    }

    async fn query(&self, at: Name, kind: RecordType) -> Result<Message, String> {
        let mut message = Message::query();
        message.add_query(Query::query(at, kind));
        message.metadata.recursion_desired = false;
        self.ask(&mut message, false).await
    }

    async fn ask(&self, message: &mut Message, sign: bool) -> Result<Message, String> {
        let told = |error: &dyn std::fmt::Display| format!("{}: {error}", self.server);
        let mut verifier = None;
        if let Some(signer) = self.signer.as_ref().filter(|_| sign) {
            let now = u64::try_from(Instant::now().0).unwrap_or_default();
            verifier = message.finalize(signer, now).map_err(|error| told(&error))?;
        }
        let bytes = message.to_vec().map_err(|error| told(&error))?;
        let answer = tokio::time::timeout(TIME, exchange(self.server, &bytes))
            .await
            .map_err(|_| told(&format!("no answer within {} s", TIME.as_secs())))?
            .map_err(|error| told(&error))?;
        let parsed = Message::from_vec(&answer).map_err(|error| told(&error))?;
        if parsed.id != message.id {
            return Err(told(&"it answers another question"));
        }
        // An error may come unsigned: a server that does not know the key cannot sign (RFC 8945 section 5.3.2).
        if let Some(mut verifier) = verifier
            && parsed.response_code == ResponseCode::NoError
        {
            verifier
                .verify(&answer)
                .map_err(|error| format!("{}: its answer is not signed as it must be: {error}", self.server))?;
        }
        Ok(parsed)
    }
}

/// One question over TCP (RFC 1035 section 4.2.2: two bytes of length in front).
async fn exchange(server: SocketAddr, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(|_| std::io::ErrorKind::InvalidInput)?;
    let mut framed = Vec::with_capacity(2 + question.len());
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(question);
    stream.write_all(&framed).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

fn text(value: &str) -> RData {
    RData::TXT(TXT::new(vec![value.to_owned()]))
}

fn name(text: &str) -> Result<Name, String> {
    let mut name = Name::from_str(text).map_err(|error| format!("`{text}` is no name: {error}"))?;
    name.set_fqdn(true);
    Ok(name)
}

fn signer(key: &TsigKey) -> Result<TSigner, String> {
    let algorithm = match key.algorithm.as_str() {
        "hmac-sha256" => TsigAlgorithm::HmacSha256,
        "hmac-sha384" => TsigAlgorithm::HmacSha384,
        "hmac-sha512" => TsigAlgorithm::HmacSha512,
        other => return Err(format!("`{other}` is not hmac-sha256, hmac-sha384 or hmac-sha512")),
    };
    TSigner::new(key.secret.clone(), algorithm, name(&key.name)?, FUDGE).map_err(|error| error.to_string())
}

impl Records for Updates {
    fn add<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(self.update(name, value, true))
    }

    fn remove<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>> {
        Box::pin(self.update(name, value, false))
    }
}
