//! Whose packages are taken: the public key that the binary was built with, and those that its user added. A key is a
//! minisign public key; a signature covers every byte of a package, and its trusted comment.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use minisign_verify::{PublicKey, Signature};

/// The key of the releases, given when the binary was built; a build of one's own has none.
const RELEASE_KEY: Option<&str> = option_env!("GANDER_RELEASE_KEY");

/// Why a signature is not good, or a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no key to check with.
    #[error(
        "this build of Gander knows no key; name the file of one in GANDER_UPGRADE_KEY or in `upgrade.keys` of config.toml"
    )]
    NoKeys,
    /// A key file is none.
    #[error("{} holds no minisign public key", path.display())]
    NoKey {
        /// Which.
        path: PathBuf,
    },
    /// Not a signature.
    #[error("it is no minisign signature")]
    NoSignature,
    /// Signed with a key that is not ours.
    #[error("it was made with a key that is not trusted here")]
    Unknown,
    /// The package is not what was signed.
    #[error("the package is not what was signed: it was changed or cut off")]
    Wrong,
    /// The package could not be read.
    #[error("the package cannot be read")]
    Io(#[from] io::Error),
}

/// Keys whose packages are taken.
#[derive(Clone, Default)]
pub struct Keys(Vec<PublicKey>);

impl Keys {
    /// The key that the binary was built with, if any.
    pub fn built_in() -> Keys {
        Keys(RELEASE_KEY.and_then(parse).into_iter().collect())
    }

    /// Adds one, as a base64 line or a whole public key file's text.
    pub fn add(&mut self, text: &str) -> Result<(), KeyError> {
        self.0.push(parse(text).ok_or_else(|| KeyError::NoKey { path: text.trim().into() })?);
        Ok(())
    }

    /// Adds one from a public key file.
    pub fn add_file(&mut self, path: &Path) -> Result<(), KeyError> {
        let text = std::fs::read_to_string(path)?;
        self.0.push(parse(&text).ok_or_else(|| KeyError::NoKey { path: path.to_owned() })?);
        Ok(())
    }

    /// Whether `signature` is one of `package`, all of it, by a key that is here.
    pub fn verify(&self, package: &mut impl Read, signature: &[u8]) -> Result<(), KeyError> {
        if self.0.is_empty() {
            return Err(KeyError::NoKeys);
        }
        let text = std::str::from_utf8(signature).map_err(|_| KeyError::NoSignature)?;
        let signature = Signature::decode(text).map_err(|_| KeyError::NoSignature)?;
        // The key's id in the signature says which key; the signature itself says whether that is true.
        let mut verifier = self.0.iter().find_map(|key| key.verify_stream(&signature).ok()).ok_or(KeyError::Unknown)?;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let read = package.read(&mut buffer)?;
            if read == 0 {
                return verifier.finalize().map_err(|_| KeyError::Wrong);
            }
            verifier.update(&buffer[..read]);
        }
    }
}

fn parse(text: &str) -> Option<PublicKey> {
    let text = text.trim();
    PublicKey::decode(text).or_else(|_| PublicKey::from_base64(text)).ok()
}
