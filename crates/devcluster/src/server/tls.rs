//! Certificates: an authority that signs one certificate.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use jiff::{ToSpan, Zoned, civil::Date};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::Error;

/// Clients refuse certificates that are valid for more than 825 days.
const VALID_DAYS: i64 = 800;

/// A certificate authority.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// The one that has this key. Its certificate is a new one each time; who trusts an earlier one trusts the key.
    pub(crate) fn new(key: KeyPair) -> Result<Self, Error> {
        let mut params = dated(CertificateParams::new(Vec::new()).map_err(Error::Certificate)?);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "no-crd development cluster");
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, key).map_err(Error::Certificate)? })
    }

    /// The authority's certificate, which clients must trust.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The configuration of a server at `address`, with a certificate for all names of this machine.
    pub(crate) fn server_config(&self, address: IpAddr) -> Result<Arc<ServerConfig>, Error> {
        let mut params = dated(CertificateParams::new(vec!["localhost".into()]).map_err(Error::Certificate)?);
        let mut addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        if !addresses.contains(&address) {
            addresses.push(address);
        }
        params.subject_alt_names.extend(addresses.into_iter().map(SanType::IpAddress));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.distinguished_name.push(DnType::CommonName, "no-crd development cluster API");
        let key = KeyPair::generate().map_err(Error::Certificate)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(Error::Certificate)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        // The provider is named: a library does not rely on, nor set, the process's default.
        let mut config = ServerConfig::builder_with_provider(aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key)
            })
            .map_err(Error::Tls)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// Valid from yesterday, for clocks differ, for [`VALID_DAYS`].
fn dated(mut params: CertificateParams) -> CertificateParams {
    let today = Zoned::now().date();
    let at = |date: Date| {
        let part = |number: i8| u8::try_from(number).unwrap_or(1);
        date_time_ymd(date.year().into(), part(date.month()), part(date.day()))
    };
    params.not_before = at(today.saturating_sub(1.day()));
    params.not_after = at(today.saturating_add(VALID_DAYS.days()));
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
}
