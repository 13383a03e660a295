//! Sign-in: what a challenge asks for, and tokens kept until they run out.
//!
//! Nothing is sent before the registry asks. Credentials go to the registry itself (Basic), or to the realm that it
//! names (Bearer); [`Authenticator::may_send`] has the rule for the latter.
//!
//! Source: distribution's "Token Authentication Specification" and "OAuth2 Token Authentication", which
//! distribution-spec leaves out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use tokio::sync::Mutex;

use super::answer::Answer;
use super::attempts::Attempts;
use super::body::Payload;
use super::challenge::Challenge;
use super::client::{Call, Client, is_loopback};
use super::credentials::{CredentialSource, Credentials, Found};
use super::error::{ERROR_BODY_BYTES, clean, describe, display_url};
use crate::limits::Limits;
use crate::reference::Repository;
use crate::store::StoreError;

/// Life of a token that does not say. Source: "Token Authentication Specification", `expires_in`.
const DEFAULT_LIFE_SECONDS: u64 = 60;
/// Registries of large organisations put many grants into a token; none seen is past 20 KiB.
const TOKEN_BYTES: u64 = 1 << 20;

/// What a request wants to do. A token for more serves for less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Access {
    /// Read.
    Pull,
    /// Read and write.
    Push,
}

impl Access {
    const fn actions(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
        }
    }
}

/// What a token has to be for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted {
    pub(super) access: Access,
    /// A second repository that is read.
    pub(super) pull_from: Option<String>,
}

impl Wanted {
    /// Whether a token for this serves for `other`.
    fn covers(&self, other: &Self) -> bool {
        self.access >= other.access && (other.pull_from.is_none() || self.pull_from == other.pull_from)
    }
}

/// A header value that may be sent to the registry, and which one it is.
#[derive(Clone)]
pub(super) struct Ticket {
    pub(super) value: HeaderValue,
    serial: u64,
    expires: Option<Instant>,
}

#[derive(Default)]
struct State {
    scheme: Option<Scheme>,
    found: Option<Found>,
    tickets: BTreeMap<Wanted, Ticket>,
    serial: u64,
    /// What is worth knowing beside whose credentials they are.
    note: Option<String>,
}

#[derive(Clone)]
enum Scheme {
    Basic,
    Bearer(Realm),
}

#[derive(Clone)]
struct Realm {
    url: Url,
    service: Option<String>,
    scope: Option<String>,
}

/// Signs in to one repository. One sign-in at a time; who waited uses its result.
pub(super) struct Authenticator {
    repository: Repository,
    registry: Url,
    source: CredentialSource,
    limits: Limits,
    state: Mutex<State>,
}

impl Authenticator {
    pub(super) fn new(repository: Repository, registry: Url, source: CredentialSource, limits: &Limits) -> Self {
        Self { repository, registry, source, limits: limits.clone(), state: Mutex::default() }
    }

    /// What to send with a request before anybody asks: nothing until the first challenge came.
    ///
    /// # Errors
    /// When a token ran out and there is no new one.
    pub(super) async fn ticket(&self, client: &Client, wanted: &Wanted) -> Result<Option<Ticket>, StoreError> {
        let mut state = self.state.lock().await;
        match (current(&state, wanted), state.scheme.clone()) {
            (Some(ticket), _) => Ok(Some(ticket)),
            (None, Some(scheme)) => self.obtain(client, &mut state, &scheme, wanted).await,
            (None, None) => Ok(None),
        }
    }

    /// What to send after a 401; `None` when nothing better than `used` can be had.
    ///
    /// # Errors
    /// [`StoreError::Denied`] from the realm, and all that can go wrong on the way there.
    pub(super) async fn answer(
        &self,
        client: &Client,
        wanted: &Wanted,
        challenges: &[Challenge],
        used: Option<&Ticket>,
    ) -> Result<Option<Ticket>, StoreError> {
        let mut state = self.state.lock().await;
        // Somebody else signed in while this request was on its way.
        let newer = |ticket: &Ticket| used.is_none_or(|used| ticket.serial > used.serial);
        if let Some(ticket) = current(&state, wanted).filter(newer) {
            return Ok(Some(ticket));
        }
        let Some(scheme) = self.choose(client, challenges)? else { return Ok(None) };
        if matches!(scheme, Scheme::Basic) && used.is_some() {
            return Ok(None);
        }
        state.scheme = Some(scheme.clone());
        self.obtain(client, &mut state, &scheme, wanted).await
    }

    /// Whose credentials were sent, or why none were.
    pub(super) async fn describe(&self) -> String {
        let state = self.state.lock().await;
        let found = state.found.as_ref().map_or_else(|| "none were asked for".to_owned(), Found::describe);
        state.note.as_ref().map_or_else(|| found.clone(), |note| format!("{found}; {note}"))
    }

    /// Bearer before Basic, as every client has it.
    fn choose(&self, client: &Client, challenges: &[Challenge]) -> Result<Option<Scheme>, StoreError> {
        if let Some(bearer) = challenges.iter().find(|challenge| challenge.scheme == "bearer") {
            let realm = bearer.parameter("realm").unwrap_or_default();
            let url = Url::parse(realm).map_err(|_| client.protocol("asks for a token without saying from where"))?;
            let text = |name| bearer.parameter(name).filter(|value| !value.is_empty()).map(str::to_owned);
            let realm = Realm { url, service: text("service"), scope: text("scope") };
            self.check_realm(client, &realm.url)?;
            return Ok(Some(Scheme::Bearer(realm)));
        }
        Ok(challenges.iter().any(|challenge| challenge.scheme == "basic").then_some(Scheme::Basic))
    }

    /// A realm is https, unless the registry itself is plain HTTP and the realm may be.
    fn check_realm(&self, client: &Client, realm: &Url) -> Result<(), StoreError> {
        let plain_allowed = self.registry.scheme() == "http" && client.may_be_plain(realm);
        let bare = realm.username().is_empty() && realm.password().is_none();
        match realm.scheme() {
            "https" if bare => Ok(()),
            "http" if bare && plain_allowed => Ok(()),
            _ => Err(client.protocol(format!("asks for a token from where it is not safe: {}", display_url(realm)))),
        }
    }

    /// Whether credentials may go to a realm. Another host than the registry's gets them only because the registry
    /// said so over TLS or loopback, where nobody can put words into its mouth (Docker Hub works like that); over plain
    /// HTTP they go to loopback, or back to the one host that the user named as insecure.
    fn may_send(&self, realm: &Url) -> bool {
        let same_host = realm.host_str() == self.registry.host_str();
        let authentic = self.registry.scheme() == "https" || is_loopback(&self.registry);
        match realm.scheme() {
            "https" => authentic || same_host,
            _ => is_loopback(realm) && authentic || realm.origin() == self.registry.origin(),
        }
    }

    async fn obtain(
        &self,
        client: &Client,
        state: &mut State,
        scheme: &Scheme,
        wanted: &Wanted,
    ) -> Result<Option<Ticket>, StoreError> {
        if state.found.is_none() {
            state.found =
                Some(self.source.find(&self.repository, Duration::from_secs(self.limits.helper_seconds)).await?);
        }
        let credentials = state.found.as_ref().and_then(Found::credentials);
        let (value, expires) = match scheme {
            Scheme::Basic => match credentials.and_then(Credentials::basic) {
                Some(value) => (value, None),
                None => return Ok(None),
            },
            Scheme::Bearer(realm) => {
                let allowed = credentials.filter(|_| self.may_send(&realm.url));
                if credentials.is_some() && allowed.is_none() {
                    state.note = Some(format!("they were not sent to {}", display_url(&realm.url)));
                }
                let (value, life) = self.fetch(client, realm, wanted, allowed, state).await?;
                (value, Some(Instant::now() + life))
            }
        };
        state.serial += 1;
        let ticket = Ticket { value, serial: state.serial, expires };
        state.tickets.insert(wanted.clone(), ticket.clone());
        Ok(Some(ticket))
    }

    /// Asks the realm for a token.
    async fn fetch(
        &self,
        client: &Client,
        realm: &Realm,
        wanted: &Wanted,
        credentials: Option<&Credentials>,
        state: &State,
    ) -> Result<(HeaderValue, Duration), StoreError> {
        let (call, basic) = self.token_request(realm, wanted, credentials);
        if let Some(token) = credentials.and_then(Credentials::identity_token) {
            client.secrets().remember(token);
        }
        let mut attempts = Attempts::new(&self.limits);
        let mut answer = client.sign_in(&call, basic.as_ref(), &mut attempts).await?;
        if answer.status != StatusCode::OK {
            return Err(self.refused(client, &realm.url, answer, state).await);
        }
        let body = answer.body(TOKEN_BYTES).await.map_err(|detail| client.unavailable(detail))?;
        #[derive(serde::Deserialize)]
        struct Body {
            token: Option<String>,
            access_token: Option<String>,
            expires_in: Option<u64>,
        }
        let body = body.and_then(|body| serde_json::from_slice::<Body>(&body).ok());
        let body = body.ok_or_else(|| client.protocol(format!("{} gave no token", display_url(&realm.url))))?;
        let token = body.token.filter(|token| !token.is_empty()).or(body.access_token).unwrap_or_default();
        let value = HeaderValue::from_str(&format!("Bearer {token}")).ok().filter(|_| !token.is_empty());
        let mut value = value.ok_or_else(|| client.protocol(format!("{} gave no token", display_url(&realm.url))))?;
        value.set_sensitive(true);
        // A tenth earlier, so that it does not run out on the way. A day, so that no number overflows the clock.
        let seconds = body.expires_in.unwrap_or(DEFAULT_LIFE_SECONDS).min(86_400);
        Ok((value, Duration::from_secs(seconds - seconds / 10)))
    }

    fn token_request(
        &self,
        realm: &Realm,
        wanted: &Wanted,
        credentials: Option<&Credentials>,
    ) -> (Call, Option<HeaderValue>) {
        let mut url = realm.url.clone();
        let identity_token = credentials.and_then(Credentials::identity_token);
        if identity_token.is_some() {
            url.set_query(None);
        }
        {
            let mut pairs = url.query_pairs_mut();
            if let Some(service) = &realm.service {
                pairs.append_pair("service", service);
            }
            let scopes = self.scopes(realm, wanted);
            match identity_token {
                None => {
                    pairs.extend_pairs(scopes.iter().map(|scope| ("scope", scope)));
                }
                Some(token) => {
                    pairs.append_pair("scope", &scopes.join(" "));
                    pairs.append_pair("client_id", "attestry");
                    pairs.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token);
                }
            }
        }
        if identity_token.is_none() {
            return (Call::new(Method::GET, url), credentials.and_then(Credentials::basic));
        }
        let form = url.query().unwrap_or_default().to_owned();
        let mut call = Call::new(Method::POST, realm.url.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        call.payload = Payload::Bytes(form.into());
        (call, None)
    }

    /// Our own scopes, and those of the challenge that they do not cover.
    fn scopes(&self, realm: &Realm, wanted: &Wanted) -> Vec<String> {
        let mut ours = vec![(format!("repository:{}:", self.repository.path()), wanted.access.actions())];
        ours.extend(wanted.pull_from.iter().map(|path| (format!("repository:{path}:"), Access::Pull.actions())));
        let covered = |scope: &&str| {
            ours.iter().any(|(resource, own)| {
                let actions = scope.strip_prefix(resource.as_str());
                actions.is_some_and(|actions| actions.split(',').all(|one| own.split(',').any(|known| known == one)))
            })
        };
        let others = realm.scope.as_deref().unwrap_or_default().split(' ').filter(|scope| !scope.is_empty());
        let others: Vec<String> = others.filter(|scope| !covered(scope)).map(str::to_owned).collect();
        let ours: Vec<String> = ours.iter().map(|(resource, actions)| format!("{resource}{actions}")).collect();
        [ours, others].concat()
    }

    async fn refused(&self, client: &Client, realm: &Url, mut answer: Answer<'_>, state: &State) -> StoreError {
        let body = answer.body(ERROR_BODY_BYTES).await.ok().flatten().unwrap_or_default();
        let detail = format!("{}: {}", display_url(realm), describe(answer.status, &body, client.secrets()));
        // OAuth2 has 400 `invalid_grant` for a refresh token that ran out.
        if !matches!(answer.status.as_u16(), 400 | 401 | 403) {
            return client.unavailable(detail);
        }
        StoreError::Denied {
            place: self.repository.to_string(),
            what: "the sign-in".to_owned(),
            detail: clean(&detail),
            credentials: state.found.as_ref().map(Found::describe).unwrap_or_default(),
        }
    }
}

fn current(state: &State, wanted: &Wanted) -> Option<Ticket> {
    let now = Instant::now();
    let valid = |ticket: &&Ticket| ticket.expires.is_none_or(|expires| now < expires);
    // The map's order puts the narrow one first.
    let mut serving = state.tickets.iter().filter(|(known, _)| known.covers(wanted)).map(|(_, ticket)| ticket);
    serving.find(valid).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_send(registry: &str, realm: &str) -> bool {
        let source = CredentialSource::none();
        let repository = Repository::parse("registry.example/app").unwrap();
        let registry = Url::parse(registry).unwrap();
        let authenticator = Authenticator::new(repository, registry, source, &Limits::default());
        authenticator.may_send(&Url::parse(realm).unwrap())
    }

    #[test]
    fn credentials_go_to_another_host_only_when_the_registry_itself_said_so() {
        assert!(may_send("https://registry.example/", "https://auth.example/token"));
        assert!(may_send("http://127.0.0.1:5000/", "http://127.0.0.1:5001/token"));
        assert!(may_send("http://127.0.0.1:5000/", "https://auth.example/token"));
        assert!(may_send("http://insecure.example:5000/", "http://insecure.example:5000/token"));
        assert!(may_send("http://insecure.example/", "https://insecure.example/token"));
        for realm in ["https://auth.example/token", "http://other.example/token", "http://127.0.0.1/token"] {
            assert!(!may_send("http://insecure.example/", realm), "{realm}");
        }
        assert!(!may_send("http://127.0.0.1:5000/", "http://auth.example/token"));
    }

    #[test]
    fn a_scope_that_ours_covers_is_not_asked_for_twice() {
        let repository = Repository::parse("registry.example/team/app").unwrap();
        let url = Url::parse("https://registry.example/").unwrap();
        let authenticator = Authenticator::new(repository, url.clone(), CredentialSource::none(), &Limits::default());
        let realm = |scope: &str| Realm { url: url.clone(), service: None, scope: Some(scope.to_owned()) };
        let wanted = |access, from: Option<&str>| Wanted { access, pull_from: from.map(str::to_owned) };
        let scopes = |scope: &str, access| authenticator.scopes(&realm(scope), &wanted(access, None));
        assert_eq!(scopes("repository:team/app:pull", Access::Push), ["repository:team/app:pull,push"]);
        assert_eq!(
            scopes("repository:mirror/app:pull", Access::Pull),
            ["repository:team/app:pull", "repository:mirror/app:pull"]
        );
        let both = realm("repository:team/app:pull,push repository:team/base:pull");
        assert_eq!(
            authenticator.scopes(&both, &wanted(Access::Push, Some("team/base"))),
            ["repository:team/app:pull,push", "repository:team/base:pull"]
        );
    }
}
