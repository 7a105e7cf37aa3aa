//! Every crate that is built in has a licence that deny.toml allows, and none is one that it bans.

use std::path::Path;

use serde::Deserialize;

use super::{Metadata, Report};

#[derive(Deserialize)]
struct Policy {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

pub fn check(root: &Path, metadata: &Metadata) -> Result<Report, String> {
    let file = root.join("deny.toml");
    let text = std::fs::read_to_string(&file).map_err(|error| format!("deny.toml: {error}"))?;
    let policy: Policy = toml::from_str(&text).map_err(|error| format!("deny.toml: {error}"))?;
    let mut report = Report::default();
    for package in &metadata.others {
        let told = format!("{} {}", package.name, package.version);
        match (&package.license, &package.license_file) {
            (Some(expression), _) if allowed(expression, &policy.licenses.allow) => {}
            (Some(expression), _) => {
                report.problems.push(format!("{told} is under {expression}, which deny.toml does not allow"))
            }
            (None, Some(file)) => {
                report.problems.push(format!("{told} has a licence of its own ({file}): read it first"))
            }
            (None, None) => report.problems.push(format!("{told} states no licence")),
        }
        if let Some(ban) = policy.bans.deny.iter().find(|ban| ban.name == package.name) {
            report.problems.push(format!("{told} is banned: {}", ban.reason));
        }
    }
    report.looked_at = format!("{} crates of others", metadata.others.len());
    Ok(report)
}

/// Whether one may take the crate under allowed licences alone: the SPDX expression with `OR` and `AND` of single
/// licences, in brackets or not. (`/` is the old way to write `OR`.) `AND` binds closer.
fn allowed(expression: &str, allow: &[String]) -> bool {
    let expression = expression.replace('/', " OR ");
    let mut tokens = Tokens {
        rest: expression.replace('(', " ( ").replace(')', " ) ").split_whitespace().map(String::from).collect(),
    };
    tokens.rest.reverse();
    tokens.either(allow) && tokens.rest.is_empty()
}

/// What is left of an expression, last word first.
struct Tokens {
    rest: Vec<String>,
}

impl Tokens {
    fn next_is(&mut self, word: &str) -> bool {
        let is = self.rest.last().is_some_and(|next| next == word);
        if is {
            self.rest.pop();
        }
        is
    }

    fn either(&mut self, allow: &[String]) -> bool {
        let mut good = self.both(allow);
        while self.next_is("OR") {
            good |= self.both(allow);
        }
        good
    }

    fn both(&mut self, allow: &[String]) -> bool {
        let mut good = self.one(allow);
        while self.next_is("AND") {
            good &= self.one(allow);
        }
        good
    }

    fn one(&mut self, allow: &[String]) -> bool {
        if self.next_is("(") {
            let good = self.either(allow);
            return self.next_is(")") && good;
        }
        let Some(mut name) = self.rest.pop() else { return false };
        if self.next_is("WITH") {
            let exception = self.rest.pop().unwrap_or_default();
            // An exception only ever adds permissions, so the bare licence being allowed is enough.
            if allow.contains(&name) {
                return true;
            }
            name = format!("{name} WITH {exception}");
        }
        allow.contains(&name)
    }
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn expressions_are_read_as_spdx_does() {
        let allow: Vec<String> = ["MIT", "Apache-2.0", "Unicode-3.0"].map(String::from).into();
        for good in [
            "MIT",
            "MIT OR GPL-3.0",
            "MIT/GPL-3.0",
            "(MIT OR GPL-3.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(allowed(good, &allow), "{good}");
        }
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Apache-2.0) AND GPL-3.0", "", "MIT Apache-2.0", "(MIT"] {
            assert!(!allowed(bad, &allow), "{bad}");
        }
    }
}
