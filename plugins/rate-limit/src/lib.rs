//! Limits how often a client may ask: a sliding window for each client, or for each header, cookie, path or several of them together,
//! counted over all workers.

mod counter;
mod fields;
mod key;
mod settings;
mod window;

use counter::Counted;
use fields::State;
use key::{Key, Part};
use portcullis_sdk::{
    Edits, Plugin, RequestHead, Response, ResponseHead, Verdict, Wants, clock, connection, key_value, log,
    settings::Network,
};
use settings::{Config, Fields, Missing, OnFull, Policy, Settings};

/// The plugin, configured.
pub struct RateLimit {
    settings: Settings,
    /// The field `ratelimit-policy`, which is the same for all.
    policies: String,
}

/// One exchange: what its response says in `ratelimit`.
#[derive(Default)]
pub struct Exchange {
    ratelimit: Option<String>,
}

impl Plugin for RateLimit {
    type Config = Config;
    type Exchange = Exchange;

    fn configure(config: Config) -> Result<Self, String> {
        let settings = Settings::try_from(config)?;
        let policies = fields::policies(&settings.policies);
        Ok(Self { settings, policies })
    }

    fn wants(&self) -> Wants {
        match self.settings.fields {
            Fields::Always => Wants::new().request_head().response_head(),
            Fields::Refused | Fields::Never => Wants::new().request_head(),
        }
    }

    fn request_head(&self, exchange: &mut Exchange, head: &RequestHead) -> Verdict {
        let now = clock::now().as_millis() as u64;
        let client = Network::of_client(connection::get().client_address(), self.settings.ipv6_prefix).to_string();
        let mut counted = Vec::with_capacity(self.settings.policies.len());
        for (at, policy) in self.settings.policies.iter().enumerate() {
            let Some(who) = who(policy, &client, head) else { continue };
            match counter::count(policy, &who, now) {
                Ok(one) => counted.push((at, one)),
                // Nobody asks: the image is being made.
                Err(key_value::Error::Unavailable) => {}
                Err(error) => {
                    log::warn(format!(
                        "limit {}: cannot count: {error:?}; give the plugin more key_value",
                        policy.name
                    ));
                    if self.settings.on_full == OnFull::Refuse && !self.settings.dry_run {
                        counted.into_iter().for_each(|(_, one): (usize, Counted)| {
                            one.take_back();
                        });
                        return Verdict::Respond(Response::new(503).field("retry-after", "1"));
                    }
                }
            }
        }
        self.decide(exchange, counted, &client)
    }

    fn response_head(&self, exchange: &mut Exchange, _: &ResponseHead) -> Verdict {
        match exchange.ratelimit.take() {
            // Added to what the backend says of its own limits: both hold, and both fields are lists.
            Some(ratelimit) => {
                let policies = self.policies.as_str();
                Verdict::Edit(Edits::new().append("ratelimit-policy", policies).append("ratelimit", ratelimit))
            }
            None => Verdict::Continue,
        }
    }
}

impl RateLimit {
    fn decide(&self, exchange: &mut Exchange, counted: Vec<(usize, Counted)>, client: &str) -> Verdict {
        let policies = &self.settings.policies;
        let exceeds =
            |at: usize, one: &Counted| policies[at].quota.used(one.moment, one.count) > policies[at].quota.requests;
        if !counted.iter().any(|(at, one)| exceeds(*at, one)) {
            if self.settings.fields == Fields::Always && !counted.is_empty() {
                let states: Vec<_> = counted.iter().map(|(at, one)| self.state(*at, one, one.count, false)).collect();
                exchange.ratelimit = Some(fields::remaining(policies, &states));
            }
            return Verdict::Continue;
        }
        let mut wait = 0;
        let mut states = Vec::with_capacity(counted.len());
        for (at, one) in counted {
            let exceeded = exceeds(at, &one);
            let moment = one.moment;
            let mut state = self.state(at, &one, one.count, exceeded);
            let count = one.take_back();
            if exceeded {
                state.reset = policies[at].quota.wait(moment, count);
                wait = wait.max(state.reset);
            } else {
                state.remaining += 1;
            }
            states.push(state);
        }
        if self.settings.dry_run {
            let names: Vec<_> = states
                .iter()
                .filter(|state| state.exceeded)
                .map(|state| policies[state.policy].name.as_str())
                .collect();
            log::info(format!("dry run: {client} would be refused by {}", names.join(", ")));
            return Verdict::Continue;
        }
        let mut response = Response::new(429).field("retry-after", fields::seconds(wait).to_string());
        if self.settings.fields != Fields::Never {
            response = response
                .field("ratelimit-policy", self.policies.as_str())
                .field("ratelimit", fields::remaining(policies, &states));
        }
        Verdict::Respond(
            response
                .field("content-type", "application/problem+json")
                .field("cache-control", "no-store")
                .body(fields::problem(policies, &states)),
        )
    }

    fn state(&self, at: usize, one: &Counted, count: window::Count, exceeded: bool) -> State {
        let quota = self.settings.policies[at].quota;
        let reset = quota.window - one.moment.elapsed;
        State { policy: at, remaining: quota.remaining(one.moment, count), reset, exceeded }
    }
}

/// Whom a policy counts this request for; nobody, if it lacks what to count by and the operator lets it pass.
fn who(policy: &Policy, client: &str, head: &RequestHead) -> Option<String> {
    if policy.by == [Part::Client] {
        // The common case, and readable: no digest.
        return Some(client.to_owned());
    }
    let mut key = Key::default();
    for part in &policy.by {
        let path;
        let value = match part {
            Part::Client => Some(client.as_bytes()),
            Part::Path => {
                path = key::path(&head.target);
                Some(path.as_slice())
            }
            Part::Method => Some(head.method.as_bytes()),
            Part::Host => Some(head.authority.as_bytes()),
            Part::Header(name) => head.get(name),
            Part::Cookie(name) => key::cookie(head.all("cookie"), name),
        };
        match (value, policy.missing) {
            (None, Missing::Pass) => return None,
            // After a mark that no value has, so that nobody sends another's address as a header.
            (None, Missing::Client) => {
                key.add(None);
                key.add(Some(client.as_bytes()));
            }
            (value, _) => key.add(value),
        }
    }
    Some(key.finish())
}

portcullis_sdk::export!(RateLimit);

#[cfg(test)]
mod tests;
