//! Following changes of the files.

use std::time::Duration;

use super::Tls;
use crate::Error;

/// How often the files are looked at. They are compared by content: what changes them (`mv`, an atomic symlink of a
/// mounted Secret, an editor) and what that does to times and inodes differs too much.
pub(crate) const PERIOD: Duration = Duration::from_secs(5);

impl Tls {
    /// Reads the files again and again, for as long as it is polled. What can't be used is reported once, and the
    /// certificate that is served stays.
    pub(crate) async fn keep_fresh(mut self, period: Duration) {
        let mut trouble = None;
        loop {
            tokio::time::sleep(period).await;
            // A few kilobytes: not worth a thread.
            match self.refresh() {
                Ok(true) => {
                    trouble = None;
                    tracing::info!(cert = %self.files.cert.display(), "new HTTPS certificate in use");
                }
                Ok(false) => {}
                Err(error) => {
                    let error = describe(&error);
                    if trouble.as_ref() != Some(&error) {
                        tracing::error!("the HTTPS certificate stays as it is: {error}");
                        trouble = Some(error);
                    }
                }
            }
        }
    }

    /// Looks at the files once; tells whether there was something new that can be used.
    pub(super) fn refresh(&mut self) -> Result<bool, Error> {
        let contents = self.files.read()?;
        let fingerprint = contents.fingerprint();
        if fingerprint == self.seen {
            return Ok(false);
        }
        let config = self.files.parse(&contents)?;
        self.seen = fingerprint;
        self.current.store(config);
        Ok(true)
    }
}

fn describe(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
