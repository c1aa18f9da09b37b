//! The account with an authority: made once, kept, used by every order.

use std::time::Duration;

use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use serde_json::Value;

use crate::{
    client::Client,
    documents,
    failure::{Failure, Kind},
    settings::{Authority, Settings},
    storage::{Folder, Key, Storage},
};

/// How long one may wait for another process that is making the account.
const PATIENCE: u32 = 60;

/// Where an authority's account is kept.
pub fn place(authority: &Authority) -> Key {
    let name = authority.directory.strip_prefix("https://").unwrap_or(&authority.directory).replace('/', "_");
    Key::new(Folder::Accounts, &format!("{name}.json"))
}

/// The account with `authority`, made if there is none. `client` is asked for everything that the account then does.
///
/// # Errors
/// When it can be neither read nor made, or not kept: an account that cannot be kept is not made.
pub async fn open(
    settings: &Settings,
    authority: &Authority,
    storage: &dyn Storage,
    client: &Client,
) -> Result<Account, Failure> {
    let place = place(authority);
    for _ in 0..PATIENCE {
        if let Some(account) = known(authority, storage, &place, client).await? {
            return Ok(account);
        }
        if let Some(_lease) = storage.lease(&format!("account-{}", place.name()), Duration::from_secs(120)).await? {
            // Between the look and the lease another process may have made it.
            if let Some(account) = known(authority, storage, &place, client).await? {
                return Ok(account);
            }
            return make(settings, authority, storage, &place, client).await;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err(Failure::new(
        Kind::Storage,
        format!("another process has been making the account with {} for a minute", authority.name),
    ))
}

/// Takes an account that the authority does not know (any more) out of the way, so that the next order makes a new one.
///
/// # Errors
/// When it is still in the way.
pub async fn forget(authority: &Authority, storage: &dyn Storage) -> Result<(), Failure> {
    Ok(storage.set_aside(&place(authority)).await?)
}

async fn known(
    authority: &Authority,
    storage: &dyn Storage,
    place: &Key,
    client: &Client,
) -> Result<Option<Account>, Failure> {
    let Some(document) = documents::read::<Value>(storage, place).await? else { return Ok(None) };
    let credentials: AccountCredentials = match serde_json::from_value(document) {
        Ok(credentials) => credentials,
        Err(error) => {
            tracing::warn!(document = %place, %error, "an account of the certificate store cannot be read and is set aside");
            storage.set_aside(place).await?;
            return Ok(None);
        }
    };
    let account = Account::builder_with_http(Box::new(client.clone())).from_credentials(credentials).await;
    account
        .map(Some)
        .map_err(|error| Failure::acme(&error, client.told_to_wait()))
        .map_err(|failure| name(failure, authority))
}

async fn make(
    settings: &Settings,
    authority: &Authority,
    storage: &dyn Storage,
    place: &Key,
    client: &Client,
) -> Result<Account, Failure> {
    let contact: Vec<String> = settings.email.iter().map(|address| format!("mailto:{address}")).collect();
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let binding = authority.binding.as_ref().map(|binding| ExternalAccountKey::new(binding.id.clone(), &binding.key));
    let (account, credentials) = Account::builder_with_http(Box::new(client.clone()))
        .create(&new, authority.directory.to_string(), binding.as_ref())
        .await
        .map_err(|error| Failure::acme(&error, client.told_to_wait()))
        .map_err(|failure| name(failure, authority))?;
    documents::write(storage, place, &credentials).await?;
    tracing::info!(authority = %authority.name, account = account.id(), "made an account");
    Ok(account)
}

fn name(mut failure: Failure, authority: &Authority) -> Failure {
    failure.detail = format!("{}: {}", authority.name, failure.detail);
    failure
}
