//! `portcullis waf tune`

mod evidence;
mod inject;
mod proof;

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use self::{
    evidence::{Evidence, Proposal},
    proof::Proof,
};
use super::{
    check::count,
    recorded,
    rules::{Wanted, not_loaded},
};
use crate::output::{Outcome, Paint, print, print_json};

const EXAMPLES: &str = "\
Examples:
  portcullis waf tune /var/log/portcullis/audit.jsonl --config portcullis.toml
  portcullis waf tune audit.jsonl recorded/ --rules /usr/share/modsecurity-crs/owasp-crs.load

What is read: records of an audit log (with SecAuditLogParts ABCFHZ they have bodies), and *.http files. A client that trips rules in
many places is taken for an attacker, and nothing is concluded from it.

Each proposal is tried before it is shown: the recorded requests again, and the attacks that come with portcullis, put into the very
place that would not be looked at any more. Whether what passes then is harmless there, only you know.

Exit status: 0, whether there is something to propose or not.";

/// Propose exclusions for what looks like false positives, and show what each would let through
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Tune {
    /// Audit logs, and files or folders with recorded requests
    #[arg(value_name = "AUDITLOG", required = true)]
    recorded: Vec<PathBuf>,

    #[command(flatten)]
    wanted: Wanted,

    /// In so many requests a rule must have matched in the same place
    #[arg(long, value_name = "N", default_value_t = 3)]
    at_least: usize,

    /// From so many clients
    #[arg(long, value_name = "N", default_value_t = 2)]
    clients: usize,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Tune {
    pub(crate) fn execute(self) -> anyhow::Result<Outcome> {
        let kept = recorded::read(&self.recorded)?;
        let remarks = kept.remarks();
        let sources = self.wanted.sources()?;
        let rules = sources.load().map_err(|problems| not_loaded(&problems))?;
        let evidence = Evidence::gather(&rules.engine, kept.records);
        let proposals = evidence.proposals(self.at_least, self.clients);
        let proofs = proof::prove(&sources, &evidence, &proposals)?;
        if self.json {
            let list: Vec<_> =
                proposals.iter().zip(&proofs).map(|(proposal, proof)| as_json(proposal, proof)).collect();
            print_json(&json!({
                "requests": evidence.requests.len(), "refused": evidence.refused(),
                "left_out_clients": evidence.attackers, "remarks": remarks, "proposals": list,
            }))?;
        } else {
            let paint = Paint::for_stdout();
            let mut text: String = remarks.iter().map(|one| format!("{}: {one}\n", paint.warning("note"))).collect();
            text += &summary(&evidence);
            for (number, (proposal, proof)) in proposals.iter().zip(&proofs).enumerate() {
                text += &shown(number + 1, proposal, proof, paint);
            }
            if proposals.is_empty() {
                text += "Nothing looks like a false positive: no rule matched often enough in one place.\n";
            }
            print(&text)?;
        }
        Ok(Outcome::Well)
    }
}

fn summary(evidence: &Evidence) -> String {
    let mut text = format!("{}, {} refused", count(evidence.requests.len(), "request"), evidence.refused());
    if !evidence.attackers.is_empty() {
        let clients: Vec<_> = evidence.attackers.iter().map(ToString::to_string).collect();
        text += &format!("; left out as attackers: {}", clients.join(", "));
    }
    text + "\n\n"
}

fn shown(number: usize, proposal: &Proposal, proof: &Proof, paint: Paint) -> String {
    let place = proposal.exclusion.target.as_deref().unwrap_or("everything");
    let mut text =
        format!("{}\n", paint.heading(&format!("proposal {number}: {place} on {}", proposal.exclusion.path)));
    text += &format!(
        "  matched in {} from {}, of {} recorded there\n",
        count(proposal.requests, "request"),
        count(proposal.clients, "client"),
        count(proposal.recorded, "request")
    );
    for (rule, message) in &proposal.messages {
        text += &format!("  rule {rule}: {message}\n");
    }
    text += &format!("  for example: {}\n\n", proposal.example);
    for block in [proposal.exclusion.toml(), proposal.exclusion.seclang()] {
        for line in block.lines() {
            text += &format!("    {line}\n");
        }
        text.push('\n');
    }
    text += &format!("  replayed: of {} refused there, {} would pass\n", proof.refused, proof.passing);
    text += &match &proof.attacks {
        None => "  attacks: none tried; this place cannot be filled in from outside by itself\n\n".to_owned(),
        Some(tried) if tried.through.is_empty() => {
            format!("  attacks put there: {} refused today, all of them still\n\n", tried.refused)
        }
        Some(tried) => {
            let share = 100 * tried.through.len() / tried.refused.max(1);
            format!(
                "  attacks put there: {} refused today, {} of them ({share} %) would pass: {}\n\n",
                tried.refused,
                paint.warning(&tried.through.len().to_string()),
                list(&tried.through)
            )
        }
    };
    text
}

/// The first names, and how many more there are.
fn list(names: &[String]) -> String {
    const MOST: usize = 12;
    let first = names.iter().take(MOST).map(String::as_str).collect::<Vec<_>>().join(", ");
    if names.len() > MOST { format!("{first}, and {} more", names.len() - MOST) } else { first }
}

fn as_json(proposal: &Proposal, proof: &Proof) -> serde_json::Value {
    json!({
        "rules": proposal.exclusion.rules,
        "target": proposal.exclusion.target,
        "path": proposal.exclusion.path,
        "requests": proposal.requests,
        "clients": proposal.clients,
        "example": proposal.example,
        "toml": proposal.exclusion.toml(),
        "seclang": proposal.exclusion.seclang(),
        "replayed": { "refused": proof.refused, "passing": proof.passing },
        "attacks": proof.attacks.as_ref().map(|tried| json!({ "refused": tried.refused, "passing": tried.through })),
    })
}
