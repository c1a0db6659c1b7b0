//! Where somebody goes after signing in.
//!
//! *Invariant:* only to a page of this list; an address that came with a request is looked up here and never followed.

/// A page that somebody can have asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Page {
    /// Who they are.
    #[default]
    Account,
    /// Their personal access tokens.
    Tokens,
    /// Where they are logged in.
    Logins,
    /// What they show besides a password.
    Factors,
    /// Where a program is allowed; which one is typed again.
    Device,
}

impl Page {
    /// Every page.
    pub const ALL: [Self; 5] = [Self::Account, Self::Tokens, Self::Logins, Self::Factors, Self::Device];

    /// Its path.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Account => "/account",
            Self::Tokens => "/account/tokens",
            Self::Logins => "/account/logins",
            Self::Factors => "/account/factors",
            Self::Device => "/device",
        }
    }

    /// The page of that path, or the account.
    pub fn of(path: &str) -> Self {
        Self::ALL.into_iter().find(|page| page.path() == path).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_elsewhere() {
        for page in Page::ALL {
            assert_eq!(Page::of(page.path()), page);
        }
        for text in [
            "",
            "/",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example/account",
            "/account/../..//evil.example",
            "/account\r\nLocation: https://evil.example",
            "javascript:alert(1)",
            "/account?x=https://evil.example",
        ] {
            assert_eq!(Page::of(text), Page::Account, "{text}");
        }
    }
}
