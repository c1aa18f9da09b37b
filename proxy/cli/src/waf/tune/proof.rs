//! What a proposal would change: recorded requests and attacks, judged with it and without it.

use waf_engine::{model::Mode, transaction::Engine, trial::Request};

use super::{
    evidence::{Evidence, Proposal},
    inject::inject,
};
use crate::waf::{
    attacks::{attacks, payloads},
    recorded::Recorded,
    rules::{OWN, Sources, not_loaded},
    trial::{self, Manner},
};

/// What was found.
pub(crate) struct Proof {
    /// Recorded requests on the path that are refused today, attackers' too.
    pub(crate) refused: usize,
    /// Those of them that would pass.
    pub(crate) passing: usize,
    /// `None` where no attack can be put into the place.
    pub(crate) attacks: Option<Tried>,
}

/// Attacks in the place that is to be excepted.
pub(crate) struct Tried {
    /// So many are refused today.
    pub(crate) refused: usize,
    /// These of them would pass.
    pub(crate) through: Vec<String>,
}

/// Loads the rules once more, with every proposal as the exceptions of a route of its own, and judges.
pub(crate) fn prove(sources: &Sources, evidence: &Evidence, proposals: &[Proposal]) -> anyhow::Result<Vec<Proof>> {
    let routes: Vec<_> = proposals
        .iter()
        .enumerate()
        .map(|(number, proposal)| {
            let mut exceptions = sources.own.clone();
            exceptions.push(proposal.exclusion.exception());
            (route(number), exceptions)
        })
        .collect();
    let rules = sources.load_with(&routes).map_err(|problems| not_loaded(&problems))?;
    let attacks: Vec<_> = attacks()
        .iter()
        .flat_map(|attack| payloads(attack).into_iter().map(|payload| (attack.name.clone(), payload)))
        .collect();
    let proof = |(number, proposal): (usize, &Proposal)| {
        let passes = |request: &Request, route: &str| passes(&rules.engine, request, route);
        let with = route(number);
        let there = evidence.requests.iter().filter(|one| one.is_refused && one.path == proposal.exclusion.path);
        let (mut refused, mut passing) = (0, 0);
        for judged in there {
            refused += 1;
            passing += usize::from(passes(&judged.recorded.request, &with));
        }
        let Recorded { request: sample, .. } = &evidence.requests[proposal.sample].recorded;
        let mut tried = Tried { refused: 0, through: Vec::new() };
        let mut any = false;
        for (name, payload) in &attacks {
            let place = proposal.exclusion.target.as_deref().unwrap_or_default();
            let Some(request) = inject(sample, place, payload) else { continue };
            any = true;
            if !passes(&request, OWN) {
                tried.refused += 1;
                if passes(&request, &with) && !tried.through.contains(name) {
                    tried.through.push(name.clone());
                }
            }
        }
        Proof { refused, passing, attacks: any.then_some(tried) }
    };
    Ok(proposals.iter().enumerate().map(proof).collect())
}

fn route(number: usize) -> String {
    format!("proposal-{number}")
}

fn passes(engine: &Engine, request: &Request, route: &str) -> bool {
    let manner = Manner { mode: Some(Mode::On), route, ..Manner::default() };
    trial::judge(engine, request, None, manner).1.is_none()
}
