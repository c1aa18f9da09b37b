//! `[acme]`.

use std::{path::PathBuf, time::Duration};

use schemars::{Schema, SchemaGenerator, json_schema};

use super::{
    Filled, List, Read,
    choice::choice,
    dns::DnsName,
    net::Nameserver,
    table::{clip, table},
    text::{Problem, Written, examples},
};
use crate::{
    acme::{Challenge, KeyKind, TsigAlgorithm},
    diagnostic::Sink,
    nearest::did_you_mean,
    tree::{Kind, Node},
};

table! {
    /// Certificates that are ordered for the hosts of routes (ACME, RFC 8555), and renewed.
    Acme {
        /// Where authorities write to when something concerns all who have an account.
        email: List<Email>,
        /// Who issues: `letsencrypt`, `letsencrypt-staging`, `zerossl`, `google`, or the `https://` URL of a directory; a table for more to say;
        /// several: the next one is asked where one is away, refuses, or limits. Default `letsencrypt`.
        directory: Filled<Authority>,
        /// What kind of key: `ecdsa` (P-256), `p384`, `rsa` (2048 bits), `rsa4096`. Several: a certificate of each for every host. Default `ecdsa`.
        key: Filled<KeyKind>,
        /// How hosts are proved, in order of preference. Default `tls-alpn-01`, then `http-01`, then `dns-01` where there is `dns`.
        challenge: Filled<Challenge>,
        /// How TXT records come into the DNS: `program` or `rfc2136`. For `dns-01`, the only proof for wildcards.
        dns: DnsUpdate,
        /// The folder where accounts, certificates and their keys are kept. Default: `/var/lib/portcullis/acme` for root, else
        /// `portcullis/acme` in `$XDG_DATA_HOME` or `~/.local/share`. Takes effect at the next start.
        state: PathBuf,
    }
}

table! {
    /// An authority, with what it needs.
    AuthorityTable {
        /// Its word, or the URL of its directory.
        directory: Directory = required,
        /// PEM file of the roots that its own server is verified with. Default: those of the system.
        ca: PathBuf,
        /// Binds the account to one that you have with the authority (external account binding).
        eab: Binding,
        /// One of the profiles that its directory names, such as `shortlived`.
        profile: String,
    }
}

table! {
    /// External account binding. Needs `key` or `key_file`.
    Binding {
        /// What the authority calls the key.
        id: String = required,
        /// The HMAC key, base64url as the authority gives it.
        key: String,
        /// A file with the key.
        key_file: PathBuf,
    }
}

table! {
    /// How TXT records come into the DNS. Needs `program` or `rfc2136`.
    DnsUpdate {
        /// An external program, called with `add NAME VALUE` and `remove NAME VALUE`.
        program: PathBuf,
        /// The program's first arguments.
        arguments: List<String>,
        /// How long one call of the program may take. Default 2m.
        time: Duration,
        /// Dynamic updates of a zone (RFC 2136).
        rfc2136: Rfc2136,
    }
}

table! {
    /// A primary nameserver that takes updates.
    Rfc2136 {
        /// Its address, port 53 unless written; asked over TCP.
        server: Nameserver = required,
        /// The zone. Default: the server is asked.
        zone: DnsName,
        /// Signs the updates (TSIG, RFC 8945).
        key: TsigKey,
    }
}

table! {
    /// A key for signed updates. Needs `secret` or `secret_file`.
    TsigKey {
        /// As the server calls it.
        name: DnsName = required,
        /// `hmac-sha256`, `hmac-sha384` or `hmac-sha512`. Default `hmac-sha256`.
        algorithm: TsigAlgorithm,
        /// The secret, base64.
        secret: String,
        /// A file with the secret.
        secret_file: PathBuf,
    }
}

choice!(TsigAlgorithm, "an algorithm for signed updates", {
    "hmac-sha256" => TsigAlgorithm::HmacSha256,
    "hmac-sha384" => TsigAlgorithm::HmacSha384,
    "hmac-sha512" => TsigAlgorithm::HmacSha512,
});

choice!(KeyKind, "a kind of key", {
    "ecdsa" => KeyKind::P256,
    "p384" => KeyKind::P384,
    "rsa" => KeyKind::Rsa2048,
    "rsa4096" => KeyKind::Rsa4096,
});

choice!(Challenge, "a challenge", {
    "tls-alpn-01" => Challenge::TlsAlpn01,
    "http-01" => Challenge::Http01,
    "dns-01" => Challenge::Dns01,
});

/// An element of `directory`.
#[derive(Clone, Debug)]
pub(crate) struct Authority(pub(crate) AuthorityTable);

impl Read for Authority {
    fn read(node: &Node, out: &mut Sink<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Table(_) => AuthorityTable::read(node, out).map(Self),
            Kind::String(_) => {
                let value = Directory::read(node, out)?;
                let mut table = AuthorityTable::default();
                table.directory.key = Some(node.span);
                table.directory.value = Some(super::At { span: node.span, value });
                Some(Self(table))
            }
            _ => {
                out.error(node.span, format!("expected an authority, found {}", node.describe()))
                    .expected("a word such as \"letsencrypt\", a URL, or `{ directory = \"...\", ca = \"root.pem\" }`");
                None
            }
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let word = <Directory as Written>::schema();
        let table = AuthorityTable::schema(generator);
        json_schema!({ "anyOf": [word, table] })
    }
}

/// An authority's word or URL.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    pub(crate) name: String,
    pub(crate) url: String,
    /// One of those with a word of their own: all of them are believed by browsers (or stand in for one that is).
    pub(crate) known: bool,
    /// Makes accounts only with a binding.
    pub(crate) binds: bool,
}

/// Word, directory, whether accounts need a binding; by the authorities' own documentation.
const KNOWN: &[(&str, &str, bool)] = &[
    ("letsencrypt", "https://acme-v02.api.letsencrypt.org/directory", false),
    ("letsencrypt-staging", "https://acme-staging-v02.api.letsencrypt.org/directory", false),
    ("zerossl", "https://acme.zerossl.com/v2/DV90", true),
    ("google", "https://dv.acme-v02.api.pki.goog/directory", true),
];

impl Directory {
    /// Let's Encrypt.
    pub(crate) fn usual() -> Self {
        Self::known(KNOWN[0])
    }

    fn known((word, url, binds): (&str, &str, bool)) -> Self {
        Self { name: word.to_owned(), url: url.to_owned(), known: true, binds }
    }
}

impl Written for Directory {
    const KIND: &'static str = "an authority";
    const EXAMPLES: &'static [&'static str] =
        &["letsencrypt", "letsencrypt-staging", "zerossl", "google", "https://ca.example.com/acme/directory"];

    fn parse(text: &str) -> Result<Self, Problem> {
        if let Some(known) = KNOWN.iter().find(|(word, url, _)| *word == text || *url == text) {
            return Ok(Self::known(*known));
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            let words = KNOWN.iter().map(|(word, ..)| *word);
            let problem = Problem::new(format!("there is no authority `{}`", clip(text))).expected(examples::<Self>());
            let meant = match text {
                "staging" | "lets-encrypt-staging" => Some("did you mean `letsencrypt-staging`?".to_owned()),
                "lets-encrypt" | "le" => Some("did you mean `letsencrypt`?".to_owned()),
                _ => did_you_mean(text, words),
            };
            return Err(Problem { help: meant, ..problem });
        };
        if scheme != "https" {
            return Err(Problem::new("an authority is asked over https only (RFC 8555 section 6.1)")
                .help(format!("write \"https://{}\"", clip(rest))));
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') || rest.contains(['#', ' ']) || rest.chars().any(char::is_control) {
            return Err(Problem::new("this is not the URL of a directory").expected(examples::<Self>()));
        }
        super::Host::parse(authority)?;
        Ok(Self { name: authority.to_ascii_lowercase(), url: text.to_owned(), known: false, binds: false })
    }
}

/// An address to write to.
#[derive(Clone, Debug)]
pub(crate) struct Email(pub(crate) String);

impl Written for Email {
    const KIND: &'static str = "an address of e-mail";
    const EXAMPLES: &'static [&'static str] = &["ops@example.com"];

    fn parse(text: &str) -> Result<Self, Problem> {
        let plain = text.strip_prefix("mailto:").unwrap_or(text);
        let fits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'@');
        match plain.split_once('@') {
            // RFC 8555 section 7.3: one address, without the header fields that a mailto URL may have.
            Some((local, domain)) if fits(local) && fits(domain) && !plain.contains([',', '?']) => {
                Ok(Self(plain.to_owned()))
            }
            _ => Err(Problem::new(format!("`{}` is no address of e-mail", clip(text))).expected(examples::<Self>())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_have_words_and_urls() {
        assert!(Directory::parse("letsencrypt").unwrap().known);
        // The URL of a known one is the same one.
        assert_eq!(
            Directory::parse("https://acme-staging-v02.api.letsencrypt.org/directory").unwrap().name,
            "letsencrypt-staging"
        );
        let own = Directory::parse("https://CA.example.com:14000/dir").unwrap();
        assert_eq!((own.name.as_str(), own.known), ("ca.example.com:14000", false));
        assert_eq!(Directory::parse("staging").unwrap_err().help.unwrap(), "did you mean `letsencrypt-staging`?");
        assert_eq!(Directory::parse("zerosl").unwrap_err().help.unwrap(), "did you mean `zerossl`?");
        for bad in
            ["", "http://ca.example.com/dir", "https://", "https://u@h/", "https://h:0/", "https://a b/", "ftp://x"]
        {
            assert!(Directory::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_plain() {
        assert_eq!(Email::parse("mailto:a@b.example").unwrap().0, "a@b.example");
        for bad in ["", "a", "@b", "a@", "a@b@c", "a b@c", "a@b,c@d", "a@b?subject=x", "a@b\n"] {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
    }
}
