//! Exceptions: a person's rule, with owner, reason and expiry, that a class of gap is accepted.
//!
//! An exception changes what is done about a gap, never the verdict: the gap stays in the report and says who accepted
//! it and why. Fields are compared whole, so that no pattern can cover more than was meant.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use auditgap_records::Timestamp;
use auditgap_records::report::{AppliedException, Gap, Report};
use serde::Deserialize;

/// The file: a list of `[[exception]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "exception")]
    exceptions: Vec<Exception>,
}

/// One exception. All conditions that are given must hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    owner: String,
    reason: String,
    /// Last day on which gaps are covered, as `2027-01-31`.
    expires: String,
    #[serde(default)]
    rule: Option<String>,
    #[serde(default)]
    node: Option<String>,
    #[serde(default)]
    namespace: Option<String>,
    #[serde(default)]
    resource: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    source_ip: Option<String>,
    #[serde(default)]
    certificate_cn: Option<String>,
    #[serde(skip)]
    until: Timestamp,
}

/// Checked exceptions.
#[derive(Debug, Default)]
pub(crate) struct Exceptions(Vec<Exception>);

impl Exceptions {
    /// Reads and checks a file. The error names the exception and what is missing.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read exceptions from {shown}"))?;
        let file: File =
            toml::from_str(&text).with_context(|| format!("{shown} is not a list of [[exception]]"))?;
        let checked = file.exceptions.into_iter().enumerate().map(|(index, exception)| {
            exception.checked().with_context(|| format!("{shown}: exception {}", index + 1))
        });
        checked.collect::<Result<_>>().map(Self)
    }

    /// Writes into each gap which exception covers it, the first that does.
    pub(crate) fn apply(&self, report: &mut Report) {
        for gap in report.gaps.iter_mut().chain(&mut report.blind_spots) {
            gap.exception =
                self.0.iter().find(|exception| exception.covers(gap)).map(|exception| AppliedException {
                    owner: exception.owner.clone(),
                    reason: exception.reason.clone(),
                    expires: exception.expires.clone(),
                });
        }
    }
}

impl Exception {
    fn checked(mut self) -> Result<Self> {
        if self.owner.trim().is_empty() || self.reason.trim().is_empty() {
            bail!("owner and reason must say something: somebody has to answer for it");
        }
        let Some(day) = Timestamp::parse(&format!("{}T23:59:59.999999999Z", self.expires)) else {
            bail!("expires must be a day such as 2027-01-31, not `{}`", self.expires);
        };
        self.until = day;
        if self.conditions().iter().all(|(condition, _)| condition.is_none()) {
            bail!(
                "without a condition it would cover every gap: give rule, namespace, name, key, user or another"
            );
        }
        Ok(self)
    }

    /// Each condition, and how to read from a gap what it is compared with.
    #[expect(clippy::type_complexity, reason = "a table of conditions reads best as one")]
    fn conditions(&self) -> [(Option<&str>, fn(&Gap) -> &str); 9] {
        [
            (self.rule.as_deref(), |gap| &gap.rule),
            (self.node.as_deref(), |gap| &gap.node),
            (self.namespace.as_deref(), |gap| &gap.object.namespace),
            (self.resource.as_deref(), |gap| &gap.object.resource),
            (self.name.as_deref(), |gap| &gap.object.name),
            (self.key.as_deref(), |gap| &gap.object.key),
            (self.user.as_deref(), |gap| &gap.actor.user),
            (self.source_ip.as_deref(), |gap| &gap.actor.source_ip),
            (self.certificate_cn.as_deref(), |gap| &gap.actor.certificate_cn),
        ]
    }

    /// "Now" is the gap's own time: an old log is judged by what was accepted then.
    fn covers(&self, gap: &Gap) -> bool {
        gap.last_seen <= self.until
            && self
                .conditions()
                .iter()
                .all(|(condition, of)| condition.is_none_or(|wanted| of(gap) == wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Exception>> {
        let file: File = toml::from_str(text)?;
        file.exceptions.into_iter().map(Exception::checked).collect()
    }

    #[test]
    fn an_exception_says_who_why_until_when_and_what() {
        let whole =
            "[[exception]]\nowner='sre'\nreason='backup job'\nexpires='2027-01-31'\nrule='etcd-admin'\n";
        assert_eq!(read(whole).unwrap().len(), 1);
        for (less, complaint) in [
            (whole.replace("owner='sre'\n", ""), "owner"),
            (whole.replace("'sre'", "' '"), "owner and reason"),
            (whole.replace("2027-01-31", "soon"), "expires must be a day"),
            (whole.replace("rule='etcd-admin'\n", ""), "cover every gap"),
            (whole.replace("rule=", "roule="), "roule"),
        ] {
            let error = format!("{:#}", read(&less).unwrap_err());
            assert!(error.contains(complaint), "{error}");
        }
    }
}
