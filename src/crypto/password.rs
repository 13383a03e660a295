//! Passwords of encrypted keys.

use std::fmt;

use zeroize::Zeroizing;

/// A password, cleared from memory when dropped.
///
/// An empty password is a password: cosign encrypts with it when nothing is typed. It is not the same as none.
/// There is no `Display`, and `Debug` shows a placeholder.
///
/// ```
/// let password = attestry::crypto::Password::from("correct horse".to_owned());
/// assert_eq!(format!("{password:?}"), "Password(…)");
/// ```
#[derive(Clone)]
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Takes the bytes as they are; a line end is a part of the password.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for key derivation and for comparing a password with its repetition.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_does_not_hold_the_password() {
        assert!(!format!("{:?}", Password::from("hunter2".to_owned())).contains("hunter2"));
    }
}
