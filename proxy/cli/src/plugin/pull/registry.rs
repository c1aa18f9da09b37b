//! Asking registries. What comes from one is compared with its digest before it is used.

use std::{fs::File, future::Future, io, net::IpAddr, path::PathBuf, time::Duration};

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use docker_credential::{CredentialRetrievalError, DockerCredential};
use futures_util::StreamExt;
use oci_client::{
    Client,
    client::{ClientConfig, ClientProtocol},
    errors::{OciDistributionError, OciErrorCode},
    manifest::{IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciDescriptor},
    secrets::RegistryAuth,
};
use portcullis_config::plugin::Reference;
use portcullis_plugin::{
    module::LARGEST_MODULE,
    store::{LARGEST_MANIFEST, Layer, name},
};

use crate::outline::clean;

/// For one manifest or one module, however slowly it comes.
const LONGEST: Duration = Duration::from_secs(600);

/// A client of registries.
pub(super) struct Registry {
    client: Client,
}

impl Registry {
    /// For these references. Registries on this machine are spoken to without TLS, and all of them when that is asked for.
    pub(super) fn new<'r>(references: impl Iterator<Item = &'r Reference>, insecure: bool) -> anyhow::Result<Self> {
        let local = references.map(|reference| reference.registry.clone()).filter(|registry| is_local(registry));
        let config = ClientConfig {
            protocol: match insecure {
                true => ClientProtocol::Http,
                false => ClientProtocol::HttpsExcept(local.collect()),
            },
            connect_timeout: Some(Duration::from_secs(10)),
            read_timeout: Some(Duration::from_secs(30)),
            user_agent: concat!("portcullis/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|error| anyhow!("no client for registries: {}", said(&error)))?;
        Ok(Self { client })
    }

    /// The manifest with a digest, or else the one that the tag means.
    pub(super) async fn manifest(&self, reference: &Reference, digest: Option<&str>) -> anyhow::Result<Bytes> {
        let image = image(reference, digest)?;
        let auth = credentials(&reference.registry)?;
        // An index is taken too, so that what is wrong with it can be said.
        let types = [OCI_IMAGE_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE];
        let (manifest, _) = answer(self.client.pull_manifest_raw(&image, &auth, &types), reference).await?;
        if manifest.len() as u64 > LARGEST_MANIFEST {
            bail!("the manifest has {} bytes, and {LARGEST_MANIFEST} are the most", manifest.len());
        }
        if let Some(digest) = digest {
            same(digest, &manifest)?;
        }
        Ok(manifest)
    }

    /// The code that a manifest names.
    pub(super) async fn module(&self, reference: &Reference, layer: &Layer) -> anyhow::Result<Bytes> {
        let image = image(reference, Some(&layer.digest))?;
        self.client.store_auth_if_needed(image.resolve_registry(), &credentials(&reference.registry)?).await;
        let size = i64::try_from(layer.size).unwrap_or(i64::MAX);
        let descriptor = OciDescriptor {
            media_type: layer.media_type.clone(),
            digest: layer.digest.clone(),
            size,
            ..OciDescriptor::default()
        };
        let module = answer(
            async {
                let mut stream = self.client.pull_blob_stream(&image, &descriptor).await?.stream;
                let mut module = Vec::new();
                while let Some(piece) = stream.next().await {
                    module.extend_from_slice(&piece?);
                    // The manifest says how much there is: more is not waited for.
                    if module.len() as u64 > layer.size.min(LARGEST_MODULE) {
                        break;
                    }
                }
                Ok(module)
            },
            reference,
        )
        .await?;
        if module.len() as u64 != layer.size {
            bail!("the registry sent another number of bytes than the {} that the manifest says", layer.size);
        }
        same(&layer.digest, &module)?;
        Ok(module.into())
    }
}

fn same(digest: &str, bytes: &[u8]) -> anyhow::Result<()> {
    match name(bytes) {
        found if found == digest => Ok(()),
        found => bail!("the registry sent something else: its digest is {found}, and should be {digest}"),
    }
}

fn image(reference: &Reference, digest: Option<&str>) -> anyhow::Result<oci_client::Reference> {
    let (registry, repository) = (reference.registry.clone(), reference.repository.clone());
    match (digest, &reference.tag) {
        (Some(digest), _) => Ok(oci_client::Reference::with_digest(registry, repository, digest.to_owned())),
        (None, Some(tag)) => Ok(oci_client::Reference::with_tag(registry, repository, tag.clone())),
        (None, None) => bail!("there is neither a tag nor a digest"),
    }
}

/// An answer in time, or what to do about its absence.
async fn answer<T>(
    asked: impl Future<Output = Result<T, OciDistributionError>>,
    reference: &Reference,
) -> anyhow::Result<T> {
    match tokio::time::timeout(LONGEST, asked).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(explained(&error, reference)),
        Err(_) => bail!("the registry took longer than {LONGEST:?}"),
    }
}

fn explained(error: &OciDistributionError, reference: &Reference) -> anyhow::Error {
    let registry = &reference.registry;
    let is = |wanted: &[OciErrorCode]| match error {
        OciDistributionError::RegistryError { envelope, .. } => {
            envelope.errors.iter().any(|one| wanted.contains(&one.code))
        }
        _ => false,
    };
    if matches!(error, OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_))
        || is(&[OciErrorCode::Unauthorized, OciErrorCode::Denied])
    {
        return anyhow!("{registry} does not let you have it: log in with `docker login {registry}`");
    }
    if matches!(
        error,
        OciDistributionError::ImageManifestNotFoundError(_) | OciDistributionError::ServerError { code: 404, .. }
    ) || is(&[
        OciErrorCode::ManifestUnknown,
        OciErrorCode::NameUnknown,
        OciErrorCode::NotFound,
        OciErrorCode::BlobUnknown,
    ]) {
        return anyhow!(
            "{registry} does not have it. Is the name right? What portcullis.lock names may be gone: --update asks what the tag means now"
        );
    }
    anyhow!("{registry}: {}", said(error))
}

/// An error with its causes. Part of it may come from the registry.
fn said(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    clean(&text)
}

/// What `docker login` has kept for a registry; helpers that keep it elsewhere are asked.
fn credentials(registry: &str) -> anyhow::Result<RegistryAuth> {
    let folder = std::env::var_os("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker")));
    let Some(path) = folder.map(|folder| folder.join("config.json")) else { return Ok(RegistryAuth::Anonymous) };
    match File::open(&path) {
        Ok(file) => login(file, registry).with_context(|| format!("{} on {registry}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(RegistryAuth::Anonymous),
        Err(error) => bail!("{} cannot be read: {error}", path.display()),
    }
}

fn login(config: impl io::Read, registry: &str) -> anyhow::Result<RegistryAuth> {
    // Docker's own registry is kept under the name of its first interface.
    let server = if registry == "docker.io" { "https://index.docker.io/v1/" } else { registry };
    match docker_credential::get_credential_from_reader(config, server) {
        Ok(DockerCredential::UsernamePassword(name, password)) => Ok(RegistryAuth::Basic(name, password)),
        Ok(DockerCredential::IdentityToken(_)) => {
            bail!("an identity token is not supported: log in with a name and a password or an access token")
        }
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(RegistryAuth::Anonymous),
        // How helpers say that they have nothing.
        Err(CredentialRetrievalError::HelperFailure { stdout, stderr, .. })
            if stdout.contains("credentials not found") || stderr.contains("credentials not found") =>
        {
            Ok(RegistryAuth::Anonymous)
        }
        Err(error) => bail!("{}", clean(&error.to_string())),
    }
}

/// `localhost:5000`, `127.0.0.1`, `[::1]:5000`.
fn is_local(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, _)) if !registry.ends_with(']') => host,
        _ => registry,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_local() {
        for registry in ["localhost", "localhost:5000", "127.0.0.1", "127.1.2.3:80", "[::1]", "[::1]:5000"] {
            assert!(is_local(registry), "{registry}");
        }
        for registry in ["ghcr.io", "localhost.example.com", "10.0.0.1:5000", "[fd00::1]:5000", "127.0.0.1.example.com"]
        {
            assert!(!is_local(registry), "{registry}");
        }
    }

    #[test]
    fn logins_are_those_of_docker() {
        let login = |config: &str, registry: &str| login(config.as_bytes(), registry);
        let config = r#"{ "auths": {
            "ghcr.io": { "auth": "dGVhbTpzZWNyZXQ=" },
            "https://index.docker.io/v1/": { "auth": "bWU6eA==" },
            "token.example.com": { "identitytoken": "abc" }
        } }"#;
        let basic = |name: &str, password: &str| RegistryAuth::Basic(name.to_owned(), password.to_owned());
        assert_eq!(login(config, "ghcr.io").unwrap(), basic("team", "secret"));
        assert_eq!(login(config, "docker.io").unwrap(), basic("me", "x"));
        assert_eq!(login(config, "quay.io").unwrap(), RegistryAuth::Anonymous);
        assert_eq!(login("{}", "quay.io").unwrap(), RegistryAuth::Anonymous);
        assert!(login(config, "token.example.com").unwrap_err().to_string().contains("not supported"));
        assert!(login("[", "ghcr.io").is_err());
    }

    #[test]
    fn what_was_sent_is_what_was_asked_for() {
        assert!(same(&name(b"a"), b"a").is_ok());
        let error = same(&name(b"a"), b"b").unwrap_err().to_string();
        assert!(error.contains(&name(b"a")) && error.contains(&name(b"b")), "{error}");
    }
}
