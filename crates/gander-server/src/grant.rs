//! Credentials: the bearer token of one launch, one-time codes, and browser grants.
//!
//! A browser cannot be handed the token (it would stand in a URL or in HTML), so it gets a code that is good once and
//! for a minute, and is given a cookie for it. Of the cookie only a hash is kept, in the journal; so it survives a
//! restart, and can be revoked.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gander_api::{ApiError, Code, Gander, StoredGrant};
use gander_model::content_hash;
use tokio::sync::watch;

/// How long a one-time code is good.
const CODE_GOOD_FOR: Duration = Duration::from_secs(60);
/// How many codes may wait; the oldest gives way.
const MAX_CODES: usize = 64;

/// 256 random bits as 43 characters.
pub fn secret() -> Result<String, ApiError> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(ApiError::internal)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn digest(secret: &str) -> String {
    content_hash(secret.as_bytes()).to_string()
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A program with the token.
    Program,
    /// A browser with a grant, by the grant's id.
    Browser(String),
}

/// All credentials of one launch.
pub struct Grants {
    gander: Gander,
    token: String,
    token_digest: String,
    cookie_name: String,
    codes: Mutex<HashMap<String, Instant>>,
    /// Grant id by the digest of its cookie.
    grants: Mutex<HashMap<String, String>>,
    revoked: watch::Sender<u64>,
    failures: Mutex<(Instant, u32)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What the locks guard is whole after each statement, so a poisoned one is as good as any.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Grants {
    /// Reads the grants that are kept, and makes this launch's token.
    pub async fn load(gander: Gander) -> Result<Self, ApiError> {
        let token = secret()?;
        let cookie_name = gander.cookie_name().await?;
        let kept = gander.grants().await?;
        let grants = kept.into_iter().map(|grant| (grant.digest, grant.id)).collect();
        Ok(Grants {
            gander,
            token_digest: digest(&token),
            token,
            cookie_name,
            codes: Mutex::default(),
            grants: Mutex::new(grants),
            revoked: watch::channel(0).0,
            failures: Mutex::new((Instant::now(), 0)),
        })
    }

    /// The token, for the runtime file.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The cookie's name: other journals on this machine have others.
    pub fn cookie_name(&self) -> &str {
        &self.cookie_name
    }

    /// A code for a browser.
    pub fn new_code(&self) -> Result<String, ApiError> {
        let code = secret()?;
        let mut codes = lock(&self.codes);
        codes.retain(|_, made| made.elapsed() < CODE_GOOD_FOR);
        while codes.len() >= MAX_CODES {
            let oldest = codes.iter().min_by_key(|(_, made)| **made).map(|(digest, _)| digest.clone());
            let Some(oldest) = oldest else { break };
            codes.remove(&oldest);
        }
        codes.insert(digest(&code), Instant::now());
        Ok(code)
    }

    /// Takes a code (once) and gives the cookie's value for it.
    pub async fn redeem(&self, code: &str, label: &str) -> Result<String, ApiError> {
        let made = lock(&self.codes).remove(&digest(code));
        if made.is_none_or(|made| made.elapsed() >= CODE_GOOD_FOR) {
            self.note_failure()?;
            return Err(ApiError::new(Code::Unauthorized, "This link was used before or is older than a minute.")
                .todo("Open Gander again with `gander open`."));
        }
        let cookie = secret()?;
        let digest = digest(&cookie);
        let label: String = label.chars().filter(|c| !c.is_control()).take(200).collect();
        let grant: StoredGrant = self.gander.add_grant(&digest, &label).await?;
        lock(&self.grants).insert(digest, grant.id);
        Ok(cookie)
    }

    /// Forgets a grant; its open streams end.
    pub async fn revoke(&self, id: &str) -> Result<(), ApiError> {
        let known = lock(&self.grants).values().any(|kept| kept == id);
        if !known {
            return Err(ApiError::not_found("grant", id));
        }
        self.gander.remove_grant(id).await?;
        lock(&self.grants).retain(|_, kept| kept != id);
        self.revoked.send_modify(|count| *count += 1);
        Ok(())
    }

    /// Resolves when this caller's credential is revoked.
    pub async fn until_revoked(&self, caller: &Caller) {
        let mut revoked = self.revoked.subscribe();
        loop {
            if let Caller::Browser(id) = caller
                && !lock(&self.grants).values().any(|kept| kept == id)
            {
                return;
            }
            if revoked.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The program with this token. Digests are compared, so the time that it takes says nothing of the token.
    pub fn bearer(&self, token: &str) -> Option<Caller> {
        (digest(token) == self.token_digest).then_some(Caller::Program)
    }

    /// The browser with this cookie.
    pub fn cookie(&self, value: &str) -> Option<Caller> {
        lock(&self.grants).get(&digest(value)).cloned().map(Caller::Browser)
    }

    /// Counts a wrong credential. More than a hundred within a minute are answered with 429 instead of a check.
    pub fn note_failure(&self) -> Result<(), ApiError> {
        let mut failures = lock(&self.failures);
        if failures.0.elapsed() > Duration::from_secs(60) {
            *failures = (Instant::now(), 0);
        }
        failures.1 += 1;
        if failures.1 > 100 {
            return Err(ApiError::new(Code::TooMany, "Too many requests with a wrong credential within a minute."));
        }
        Ok(())
    }
}
