//! What clients know the cluster by: the key of its authority, and the token. They are kept beside the objects, so that
//! clients go on after a restart, as those of other clusters do.

use std::{
    fs,
    io::{self, ErrorKind},
    path::Path,
};

use rcgen::KeyPair;
use serde::{Deserialize, Serialize};

use crate::{
    Error, kubeconfig,
    server::{Authority, Token},
};

/// The file in the cluster's directory.
const FILE: &str = "credentials.json";

/// The cluster's identity.
pub(crate) struct Credentials {
    pub(crate) authority: Authority,
    pub(crate) token: Token,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kept {
    /// PEM of a private key.
    authority_key: String,
    token: String,
}

impl Credentials {
    /// Those in `directory`, or new ones, which are put there.
    pub(crate) fn open(directory: Option<&Path>) -> Result<Self, Error> {
        let Some(directory) = directory else { return Self::of(&Kept::new()?) };
        let path = directory.join(FILE);
        let failed = |source| Error::Credentials { path: path.clone(), source };
        match fs::read(&path) {
            Ok(text) => {
                let kept = serde_json::from_slice(&text).map_err(|error| failed(error.into()))?;
                Self::of(&kept).map_err(|error| failed(io::Error::new(ErrorKind::InvalidData, error)))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let kept = Kept::new()?;
                let text = serde_json::to_string(&kept).map_err(|error| failed(error.into()))?;
                kubeconfig::write(&path, &text).map_err(failed)?;
                Self::of(&kept)
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn of(kept: &Kept) -> Result<Self, Error> {
        let key = KeyPair::from_pem(&kept.authority_key).map_err(Error::Certificate)?;
        Ok(Self { authority: Authority::new(key)?, token: Token::new(&kept.token) })
    }
}

impl Kept {
    fn new() -> Result<Self, Error> {
        let key = KeyPair::generate().map_err(Error::Certificate)?;
        Ok(Self { authority_key: key.serialize_pem(), token: Token::generate().reveal().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_stay_the_same_and_are_for_their_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let first = Credentials::open(Some(directory.path())).unwrap().token;
        let second = Credentials::open(Some(directory.path())).unwrap().token;
        assert_eq!(first.reveal(), second.reveal());
        assert_ne!(first.reveal(), Credentials::open(None).unwrap().token.reveal());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(directory.path().join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{mode:o}");
        }
        fs::write(directory.path().join(FILE), "{}").unwrap();
        assert!(matches!(Credentials::open(Some(directory.path())), Err(Error::Credentials { .. })));
    }
}
