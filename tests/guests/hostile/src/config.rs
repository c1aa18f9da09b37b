//! What to do, and when.

use serde::Deserialize;

use crate::exports::portcullis::filter::filter::{AtLimit, BodyMode, Declaration, Hold, Phases};

#[derive(Deserialize)]
pub struct Config {
    pub phase: Phase,
    pub only: Option<String>,
    #[serde(default)]
    pub bodies: Bodies,
    #[serde(flatten)]
    pub attack: Attack,
}

#[derive(Deserialize, PartialEq, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Configure,
    Constructor,
    RequestHead,
    RequestBody,
    ResponseHead,
    ResponseBody,
    Log,
    Drop,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Bodies {
    #[default]
    Stream,
    Hold(u64),
}

/// Each ends only as its words say.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Attack {
    /// Nothing: for comparison.
    Nothing,
    /// A panic with a text.
    Trap,
    /// Never returns, without a call.
    Spin,
    /// Never returns, and calls the host all the time.
    SpinClock,
    /// Calls itself without end.
    Recurse,
    /// Asks for more memory until there is none, keeps it, and goes on.
    Grow,
    /// Asks for so many bytes at once and touches all of them; a panic where there are not as many.
    Allocate {
        bytes: usize,
    },
    /// Keeps so many more bytes each time.
    Leak {
        bytes: usize,
    },
    /// Fills, and copies, so many bytes again and again without end: single instructions that take long.
    Fill {
        bytes: usize,
    },
    Copy {
        bytes: usize,
    },
    /// A verdict with these edits; `many` repeats the fields, `data` is the size of what replaces the body.
    Edit {
        #[serde(default)]
        set: Vec<(String, String)>,
        #[serde(default)]
        append: Vec<(String, String)>,
        #[serde(default)]
        remove: Vec<String>,
        #[serde(default = "one")]
        many: usize,
        target: Option<String>,
        status: Option<u16>,
        data: Option<usize>,
        trailers: Option<Vec<(String, String)>>,
    },
    /// A verdict with this response; `body` is its size.
    Respond {
        status: u16,
        #[serde(default)]
        fields: Vec<(String, String)>,
        #[serde(default)]
        body: usize,
    },
    /// So many new keys with values of so many bytes.
    Keys {
        count: u64,
        bytes: usize,
    },
    /// So many additions to one key.
    Add {
        count: u64,
    },
    /// So many lines of so many bytes.
    Lines {
        count: u64,
        bytes: usize,
    },
    /// So many names of counters.
    Names {
        count: u64,
    },
    /// So many random bytes at once.
    Random {
        bytes: u32,
    },
    /// So many requests to the backend, one after the other; errors are not minded.
    Requests {
        backend: String,
        count: u64,
        timeout_ms: u32,
    },
    /// Asks who the client is: not allowed outside of phases.
    Facts,
}

fn one() -> usize {
    1
}

impl Config {
    pub fn declaration(&self) -> Declaration {
        let mut phases = Phases::empty();
        let mode = match self.bodies {
            Bodies::Stream => BodyMode::Stream,
            Bodies::Hold(limit) => BodyMode::Hold(Hold { limit, at_limit: AtLimit::Inspect }),
        };
        let (mut request_body, mut response_body) = (BodyMode::None, BodyMode::None);
        match self.phase {
            Phase::RequestBody => request_body = mode,
            Phase::ResponseBody => response_body = mode,
            Phase::ResponseHead => phases |= Phases::RESPONSE_HEAD,
            Phase::Log => phases |= Phases::LOG,
            // Something must be wanted, or there would be no exchange to make and to drop.
            Phase::Configure | Phase::Constructor | Phase::RequestHead | Phase::Drop => phases |= Phases::REQUEST_HEAD,
        }
        if self.only.is_some() {
            phases |= Phases::REQUEST_HEAD;
        }
        Declaration { phases, request_body, response_body }
    }
}
