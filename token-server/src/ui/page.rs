//! Where somebody goes after signing in.
//!
//! *Invariant:* only to a page of this list; an address that came with a request is looked up here and never followed.

use std::borrow::Cow;

use crate::domain::login::user_code::UserCode;

/// Behind this is the code of a program.
const PROGRAM: &str = "/device?code=";

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
    /// Where the code of a program is typed.
    Device,
    /// Where the program with this code is allowed.
    Program(UserCode),
}

impl Page {
    /// Every page that has one address.
    pub const ALL: [Self; 5] = [Self::Account, Self::Tokens, Self::Logins, Self::Factors, Self::Device];

    /// Its path, and the query if it has one; all of it can stand in the query of another page as it is.
    pub fn path(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Account => "/account",
            Self::Tokens => "/account/tokens",
            Self::Logins => "/account/logins",
            Self::Factors => "/account/factors",
            Self::Device => "/device",
            Self::Program(code) => return Cow::Owned(format!("{PROGRAM}{code}")),
        })
    }

    /// The page of that path, or the account.
    pub fn of(path: &str) -> Self {
        let known = Self::ALL.into_iter().find(|page| page.path() == path);
        let program = || path.strip_prefix(PROGRAM).and_then(UserCode::parse).map(Self::Program);
        known.or_else(program).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_elsewhere() {
        for page in Page::ALL {
            assert_eq!(Page::of(&page.path()), page);
        }
        let program = Page::of("/device?code=bcdf-ghjk");
        assert_eq!(program.path(), "/device?code=BCDF-GHJK");
        assert_eq!(Page::of(&program.path()), program);
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
            "/device?code=",
            "/device?code=https://evil.example",
            "/device?code=BCDF-GHJK&x=y",
        ] {
            assert_eq!(Page::of(text), Page::Account, "{text}");
        }
    }
}
