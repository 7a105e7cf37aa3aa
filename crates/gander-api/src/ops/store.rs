//! The store as a whole: health, findings, verification, search, and browsers' grants.

use gander_journal::Grant;
use gander_journal::Saving;
use gander_model::Hash;

use crate::convert;
use crate::dto::{self, rfc3339};
use crate::error::ApiError;
use crate::gander::{Gander, blocking};
use crate::jobs::Kind;

const FINDINGS_LIMIT: usize = 500;

/// A browser's grant as it is kept.
#[derive(Debug, Clone)]
pub struct StoredGrant {
    /// Its id: the beginning of the digest.
    pub id: String,
    /// The digest of its secret, in hexadecimal.
    pub digest: String,
}

fn stored(grant: &Grant) -> StoredGrant {
    let digest = grant.hash.to_string();
    StoredGrant { id: digest.chars().take(16).collect(), digest }
}

impl Gander {
    /// How the store is.
    pub async fn health(&self) -> Result<dto::Health, ApiError> {
        let (audit, root, findings, verified_at, journal) = self
            .ctx
            .read(|reader| {
                let findings = reader.findings(FINDINGS_LIMIT)?.len() as u64;
                Ok((
                    reader.audit()?,
                    reader.root()?,
                    findings,
                    reader.setting(crate::jobs::VERIFIED)?,
                    reader.journal_id()?,
                ))
            })
            .await?;
        let reason = match &*self.ctx.journal.status().borrow() {
            Saving::Yes => None,
            Saving::No { reason, .. } => Some(reason.clone()),
        };
        let audit = convert::audit(&audit);
        Ok(dto::Health {
            ok: reason.is_none() && audit.quarantined == 0,
            version: gander_model::VERSION.to_owned(),
            format: gander_journal::FORMAT,
            sqlite: gander_journal::sqlite_version().to_owned(),
            saving: reason.is_none(),
            reason,
            sessions: audit.on_disk,
            audit,
            root: root.to_string(),
            verified_at: verified_at.and_then(|at| at.parse().ok()).map(rfc3339),
            backed_up_at: self.ctx.backups.last_ms().map(rfc3339),
            findings: findings + u64::from(self.ctx.settings_broken().is_some()),
            started_at: rfc3339(self.ctx.started_at_ms),
            journal: journal.to_string(),
            data_dir: self.ctx.data_dir.display().to_string(),
        })
    }

    /// Open findings.
    pub async fn findings(&self) -> Result<dto::Findings, ApiError> {
        let kept = self.ctx.read(|reader| reader.findings(FINDINGS_LIMIT)).await?;
        let mut findings: Vec<dto::Finding> = kept.iter().map(convert::finding).collect();
        if let Some(detail) = self.ctx.settings_broken() {
            findings.insert(
                0,
                dto::Finding {
                    id: None,
                    kind: "settings_not_read".into(),
                    severity: "warning".into(),
                    subject: serde_json::json!({"file": "config.toml"}),
                    detail: format!("{detail} The usual settings are used, and the file is not written."),
                    remedy: "Correct the file and start Gander again.".into(),
                    at: None,
                },
            );
        }
        findings.extend(self.ctx.backups.findings());
        Ok(dto::Findings { findings })
    }

    /// Starts a verification beside the work.
    pub async fn start_verify(&self) -> Result<dto::Job, ApiError> {
        self.check_serving()?;
        Ok(self.ctx.jobs.start(&self.ctx, Kind::Verify))
    }

    /// Starts making lists and search index anew from the entries; a verification follows in the same job.
    pub async fn start_rebuild(&self) -> Result<dto::Job, ApiError> {
        self.check_serving()?;
        Ok(self.ctx.jobs.start(&self.ctx, Kind::Rebuild))
    }

    /// Starts healing sessions that are set aside from the newest snapshots that fit.
    pub async fn start_repair(&self, wanted: dto::RepairBody) -> Result<dto::Job, ApiError> {
        self.check_serving()?;
        let session = wanted.session_id.map(|id| id.parse().map_err(|_| ApiError::not_found("session", id)));
        Ok(self.ctx.jobs.start(&self.ctx, Kind::Repair(session.transpose()?)))
    }

    /// How far a job is.
    pub async fn job(&self, job: &str) -> Result<dto::Job, ApiError> {
        self.ctx.jobs.get(job).ok_or_else(|| ApiError::not_found("job", format_args!("{job:.80}")))
    }

    pub(crate) async fn search_index(
        &self,
        words: String,
        after: Option<u64>,
        limit: usize,
    ) -> Result<dto::SearchPage, ApiError> {
        let journal = self.ctx.journal.clone();
        let found = blocking(move || {
            let page = journal.search(&words, after, limit)?;
            // A session that was damaged meanwhile hides its own hits only.
            let results = journal.read(|reader| {
                let shown = |hit: &gander_journal::Hit| {
                    let view = reader.session(hit.session).ok()?;
                    Some(dto::SearchResult {
                        session: super::sessions::shown(reader, &view).ok()?,
                        session_id: hit.session,
                        seq: hit.seq.0,
                        kind: hit.kind.to_string(),
                        snippet: hit.snippet.clone(),
                        at: rfc3339(hit.at_ms),
                    })
                };
                Ok(page.hits.iter().filter_map(shown).collect())
            })?;
            Ok::<_, gander_journal::ReadError>(dto::SearchPage {
                results,
                next: page.next.map(|next| next.to_string()),
                indexed_through: page.indexed_through_ms.map(rfc3339),
                complete: page.complete(),
            })
        })
        .await?;
        Ok(found)
    }

    /// The cookie's name: other journals on this machine have others, so that no browser mixes them up.
    pub async fn cookie_name(&self) -> Result<String, ApiError> {
        let fresh = format!("gander-{}", &self.ctx.new_mark()[28..]);
        if self.ctx.journal.read_only().is_some() {
            let kept = self.ctx.read(|reader| reader.setting("cookie_name")).await?;
            return Ok(kept.unwrap_or(fresh));
        }
        let name = self
            .ctx
            .write(move |tx| match tx.reader()?.setting("cookie_name")? {
                Some(name) => Ok(name),
                None => {
                    tx.set("cookie_name", Some(&fresh))?;
                    Ok(fresh)
                }
            })
            .await?;
        Ok(name)
    }

    /// The grants that are kept.
    pub async fn grants(&self) -> Result<Vec<StoredGrant>, ApiError> {
        Ok(self.ctx.read(|reader| reader.grants()).await?.iter().map(stored).collect())
    }

    /// The grants that are kept, for people.
    pub async fn grants_list(&self) -> Result<dto::Grants, ApiError> {
        let mut kept = self.ctx.read(|reader| reader.grants()).await?;
        kept.reverse();
        let shown = |grant: &Grant| dto::Grant {
            id: stored(grant).id,
            label: grant.label.clone(),
            created_at: rfc3339(grant.at_ms),
        };
        Ok(dto::Grants { grants: kept.iter().map(shown).collect() })
    }

    /// Keeps a browser's grant by the digest of its secret.
    pub async fn add_grant(&self, digest: &str, label: &str) -> Result<StoredGrant, ApiError> {
        let hash: Hash = digest.parse().map_err(ApiError::internal)?;
        let grant = Grant { hash, label: label.to_owned(), at_ms: self.ctx.now_ms(), used_at_ms: self.ctx.now_ms() };
        let kept = stored(&grant);
        // A journal that is only shown keeps nothing: the browser is let in for as long as this process serves.
        if self.ctx.journal.read_only().is_none() {
            self.ctx.write(move |tx| tx.grant_put(&grant)).await?;
        }
        Ok(kept)
    }

    /// Forgets a browser's grant.
    pub async fn remove_grant(&self, id: &str) -> Result<(), ApiError> {
        if self.ctx.journal.read_only().is_some() {
            return Ok(());
        }
        let kept = self.ctx.read(|reader| reader.grants()).await?;
        let hash = kept.iter().find(|grant| stored(grant).id == id).map(|grant| grant.hash);
        let hash = hash.ok_or_else(|| ApiError::not_found("grant", id))?;
        Ok(self.ctx.write(move |tx| tx.grant_remove(hash)).await?)
    }
}
