//! Parameters of a query or a form.
//!
//! *Invariant:* a parameter that may be there once is either one value or a refusal; which of two was meant is never
//! guessed.

use std::borrow::Cow;

use url::form_urlencoded;

use super::error::ApiError;

/// The parameters of one request, decoded.
pub struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Parameters<'a> {
    /// Reads `a=b&c=d`; nothing is malformed enough to fail.
    pub fn parse(text: &'a [u8]) -> Self {
        Self(form_urlencoded::parse(text).collect())
    }

    /// All values of a parameter.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_ref())
    }

    /// The value of a parameter; empty is the same as absent, and a repeated one must repeat itself.
    pub fn one(&self, name: &'static str) -> Result<Option<&str>, ApiError> {
        let mut values = self.all(name);
        let first = values.next();
        if values.any(|value| Some(value) != first) {
            return Err(ApiError::RepeatedParameter(name));
        }
        Ok(first.filter(|value| !value.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_parameters_must_agree() {
        let parameters = Parameters::parse(b"a=1&a=1&b=1&b=2&c=&s=x&s=y%20z&d=%ff");
        assert_eq!(parameters.one("a").ok().flatten(), Some("1"));
        assert!(matches!(parameters.one("b"), Err(ApiError::RepeatedParameter("b"))));
        assert_eq!(parameters.one("c").ok().flatten(), None);
        assert_eq!(parameters.one("nothing").ok().flatten(), None);
        assert_eq!(parameters.all("s").collect::<Vec<_>>(), ["x", "y z"]);
    }
}
