//! Platforms, compared as people mean them.

use std::fmt;
use std::str::FromStr;

use crate::code::Code;
use crate::foreign::one_line;

/// `os/architecture[/variant]` of an index child.
///
/// Two platforms are equal when they are the same after normalisation ([`Platform::matches`]); the fields keep what was
/// written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Platform {
    /// The CPU, in Go's spelling.
    pub architecture: String,
    /// The operating system, in Go's spelling.
    pub os: String,
    /// Version of the operating system.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Required features of the operating system.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// Variant of the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A text that is no `os/architecture[/variant]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a platform (os/architecture[/variant]): {text}")]
pub struct PlatformError {
    /// What was read.
    pub text: String,
}

impl PlatformError {
    /// The stable code of this error.
    pub const fn code(&self) -> Code {
        Code::ArgumentInvalid
    }
}

impl Platform {
    /// The platform that BuildKit gives to attestation manifests.
    pub fn unknown() -> Self {
        Self::new("unknown", "unknown", None)
    }

    /// A platform of the usual three parts.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        Self {
            architecture: architecture.to_owned(),
            os: os.to_owned(),
            os_version: None,
            os_features: Vec::new(),
            variant: variant.map(str::to_owned),
        }
    }

    /// Whether this is `unknown/unknown`, which no machine runs.
    pub fn is_unknown(&self) -> bool {
        self.os == "unknown" && self.architecture == "unknown"
    }

    /// Whether both parts are said. Clients take what is not said for their own, or for `linux/amd64`.
    ///
    /// Source: containerd, platforms.Normalize; go-containerregistry, pkg/v1/remote, `childByPlatform`.
    pub fn is_said(&self) -> bool {
        !self.os.is_empty() && !self.architecture.is_empty()
    }

    /// Whether an image for `self` is what somebody means who writes `wanted`.
    ///
    /// `arm64/v8` is `arm64`, `arm` is `arm/v7`, `amd64/v1` is `amd64`, whatever the case; a wanted OS version must be
    /// equal. What a runtime takes for the same must be the same here, or an image that is run would not be looked at.
    ///
    /// Source: containerd, platforms.Normalize.
    pub fn matches(&self, wanted: &Self) -> bool {
        self.normal() == wanted.normal() && (wanted.os_version.is_none() || wanted.os_version == self.os_version)
    }

    fn normal(&self) -> (String, String, Option<String>) {
        let os = match self.os.to_ascii_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            other => other.to_owned(),
        };
        let variant = self.variant.as_deref().filter(|text| !text.is_empty()).map(str::to_ascii_lowercase);
        let architecture = self.architecture.to_ascii_lowercase();
        let (architecture, variant) = match (architecture.as_str(), variant.as_deref()) {
            ("aarch64" | "arm64", Some("v8" | "8" | "v8.0") | None) => ("arm64", None),
            ("aarch64", _) => ("arm64", variant),
            ("x86_64" | "x86-64" | "amd64", Some("v1") | None) => ("amd64", None),
            ("x86_64" | "x86-64", _) => ("amd64", variant),
            ("i386", _) => ("386", None),
            ("armhf", _) | ("arm", None) => ("arm", Some("v7".to_owned())),
            ("armel", _) => ("arm", Some("v6".to_owned())),
            ("arm", Some(number @ ("5" | "6" | "7" | "8"))) => ("arm", Some(format!("v{number}"))),
            (other, _) => (other, variant),
        };
        (os, architecture.to_owned(), variant)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An index may say anything here, and this is what people read, on terminals and in logs.
        write!(formatter, "{}/{}", one_line(&self.os), one_line(&self.architecture))?;
        match self.variant.as_deref() {
            Some(variant) if !variant.is_empty() => write!(formatter, "/{}", one_line(variant)),
            _ => Ok(()),
        }
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<&str> = text.split('/').collect();
        let word = |part: &&str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
        };
        match parts.as_slice() {
            [os, architecture] if parts.iter().all(word) => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] if parts.iter().all(word) => Ok(Self::new(os, architecture, Some(variant))),
            _ => Err(PlatformError { text: text.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn spellings_of_one_platform_match() {
        for (left, right) in [
            ("Linux/ARM64/V8", "linux/arm64"),
            ("linux/i386", "linux/386"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/amd64/v1", "linux/x86_64"),
        ] {
            assert!(platform(left).matches(&platform(right)), "{left} {right}");
        }
    }

    #[test]
    fn different_platforms_do_not_match() {
        for (left, right) in [
            ("linux/arm/v6", "linux/arm"),
            ("linux/arm64", "linux/arm"),
            ("linux/amd64/v3", "linux/amd64"),
            ("windows/amd64", "linux/amd64"),
        ] {
            assert!(!platform(left).matches(&platform(right)), "{left} {right}");
        }
    }

    #[test]
    fn a_platform_cannot_write_to_the_terminal() {
        let hostile = Platform::new("linux\u{1b}[2J\naccepted\n", "amd64\u{202e}", Some("\r"));
        assert_eq!(hostile.to_string(), "linux\u{fffd}[2J\u{fffd}accepted\u{fffd}/amd64\u{fffd}/\u{fffd}");
    }

    #[test]
    fn a_platform_of_one_part_is_refused() {
        for text in ["linux", "", "linux/", "/amd64", "a/b/c/d"] {
            assert!(text.parse::<Platform>().is_err(), "{text:?}");
        }
    }
}
