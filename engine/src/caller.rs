//! On whose behalf a call is made.

use nexus_log::event::{Context, Reason};

use crate::error::{Error, Result};

/// Longest session string, tenant, user, agent or request id, in bytes.
pub const IDENTITY_BYTES_MAX: usize = 128;

/// The actor of a call. Checked once, when it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub(crate) context: Context,
    /// The request id names several changes together, none of them alone.
    several: bool,
    /// Tells actors and their sessions apart.
    actor: [u8; 16],
}

impl Caller {
    /// An agent by name, with nothing else said.
    pub fn agent(name: &str) -> Result<Caller> {
        Caller::new(Context { agent: name.into(), ..Context::default() })
    }

    pub fn new(context: Context) -> Result<Caller> {
        if context.agent.is_empty() {
            return Err(Error::new(Reason::Invalid, "the agent's name is empty; name who acts"));
        }
        let request_id = context.request_id.as_deref().unwrap_or("");
        let parts = [
            ("tenant", &context.tenant[..]),
            ("user", &context.user[..]),
            ("agent", &context.agent[..]),
            ("session", &context.session[..]),
            ("request id", request_id),
            ("command", &context.command[..]),
        ];
        for (what, value) in parts {
            if value.len() > IDENTITY_BYTES_MAX {
                let message = format!("the {what} is {} bytes long; at most {IDENTITY_BYTES_MAX}", value.len());
                return Err(Error::new(Reason::Invalid, message));
            }
        }
        let actor = actor_of(&context);
        Ok(Caller { context, several: false, actor })
    }

    /// The same caller for several changes of one request: its request id is noted with each of them and makes none of
    /// them a repeat of another.
    #[must_use]
    pub fn for_several(&self) -> Caller {
        Caller { several: true, ..self.clone() }
    }

    /// The name that makes a repeat of a request known as one.
    pub(crate) fn request_key(&self) -> Option<&str> {
        self.context.request_id.as_deref().filter(|_| !self.several)
    }

    pub(crate) fn actor(&self) -> [u8; 16] {
        self.actor
    }

    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }
}

/// The head of a hash over who acts, in which session.
fn actor_of(context: &Context) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for name in [&context.tenant, &context.user, &context.agent, &context.session] {
        hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
    }
    hasher.update(&context.generation.to_le_bytes());
    hasher.finalize().as_bytes()[..16].try_into().expect("sixteen bytes")
}
