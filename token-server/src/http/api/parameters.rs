//! Parameters of the API's queries.
//!
//! *Invariant:* a parameter that an address does not know is refused with those it knows, so that a filter with a
//! typing error never lists everything.

use url::form_urlencoded;
use utoipa::openapi::schema::{KnownFormat, Object, SchemaFormat, Type};
use utoipa::openapi::{ObjectBuilder, Schema};

use crate::domain::error::TokenServerError;
use crate::domain::words::moment;
use crate::http::error::ApiError;

/// Items of a page when nothing is said.
const USUAL_LIMIT: usize = 100;

/// Most items of a page.
pub const MAX_LIMIT: usize = 1_000;

/// What can stand in a parameter.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// A time.
    Time,
    /// How many items.
    Limit,
    /// A number.
    Number {
        /// The smallest.
        least: u32,
        /// The largest.
        most: u32,
        /// What it is when nothing is said.
        usual: u32,
    },
    /// One of these words.
    Word(&'static [&'static str]),
}

/// One parameter.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// What can stand in it.
    pub kind: Kind,
    /// What could stand in it, where it must be there.
    pub example: Option<&'static str>,
}

impl Parameter {
    /// One that may be left out.
    pub const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self { name, about, kind, example: None }
    }

    /// One that must be there.
    pub const fn required(name: &'static str, example: &'static str, about: &'static str) -> Self {
        Self { name, about, kind: Kind::Text, example: Some(example) }
    }

    /// Whether it must be there.
    pub const fn is_required(&self) -> bool {
        self.example.is_some()
    }

    /// What can stand in it, as the description of the API has it.
    pub fn schema(&self) -> Schema {
        let object: Object = match self.kind {
            Kind::Text => ObjectBuilder::new().schema_type(Type::String).build(),
            Kind::Time => {
                let format = Some(SchemaFormat::KnownFormat(KnownFormat::DateTime));
                ObjectBuilder::new().schema_type(Type::String).format(format).build()
            }
            Kind::Limit => ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(1))
                .maximum(Some(MAX_LIMIT))
                .default(Some(USUAL_LIMIT.into()))
                .build(),
            Kind::Number { least, most, usual } => ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(least))
                .maximum(Some(most))
                .default(Some(usual.into()))
                .build(),
            Kind::Word(words) => ObjectBuilder::new()
                .schema_type(Type::String)
                .enum_values(Some(words.iter().copied()))
                .build(),
        };
        Schema::Object(object)
    }
}

/// Parameters of every list.
pub const LIMIT: [Parameter; 2] = [
    Parameter::optional("limit", Kind::Limit, "How many items at most."),
    Parameter::optional("cursor", Kind::Text, "Where the page before ended: its `next_cursor`."),
];

/// The parameters of one request.
#[derive(Debug)]
pub struct Query(Vec<(&'static str, String)>);

impl Query {
    /// Reads `a=b&c=d`.
    pub fn parse(text: &str, known: &[Parameter]) -> Result<Self, ApiError> {
        let mut found: Vec<(&'static str, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let Some(parameter) = known.iter().find(|known| known.name == name) else {
                let known = known.iter().map(|known| known.name).collect();
                let name = name.chars().take(100).collect();
                return Err(ApiError::UnknownParameter { name, known });
            };
            let name = parameter.name;
            if found.iter().any(|(other, _)| *other == name) {
                return Err(ApiError::BadParameter { name, sentence: "came twice".into() });
            }
            if value.chars().any(char::is_control) {
                return Err(ApiError::BadParameter { name, sentence: "holds a control character".into() });
            }
            if let Kind::Word(words) = parameter.kind
                && !words.contains(&value.as_ref())
            {
                let sentence = format!("is one of {}", words.join(", "));
                return Err(ApiError::BadParameter { name, sentence });
            }
            if let Kind::Number { least, most, .. } = parameter.kind
                && !value.parse().is_ok_and(|number: u32| (least..=most).contains(&number))
            {
                let sentence = format!("is a number from {least} to {most}");
                return Err(ApiError::BadParameter { name, sentence });
            }
            found.push((name, value.into_owned()));
        }
        if let Some(missing) = known
            .iter()
            .find(|known| known.is_required() && !found.iter().any(|(name, _)| *name == known.name))
        {
            return Err(ApiError::BadParameter { name: missing.name, sentence: "must be there".into() });
        }
        Ok(Self(found))
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a parameter that must be there.
    pub fn required(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// The value of a parameter, read by this function.
    pub fn read<T, E: Into<TokenServerError>>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ApiError> {
        self.get(name).map(parse).transpose().map_err(|error| ApiError::Domain(error.into()))
    }

    /// The time in a parameter.
    pub fn time(&self, name: &'static str) -> Result<Option<time::OffsetDateTime>, ApiError> {
        let parsed = self.get(name).map(moment::parse).transpose();
        parsed.map_err(|error| ApiError::BadParameter { name, sentence: format!("is no time: {error}") })
    }

    /// The number in a parameter.
    pub fn number(&self, parameter: &Parameter) -> u32 {
        let usual = if let Kind::Number { usual, .. } = parameter.kind { usual } else { 0 };
        self.get(parameter.name).and_then(|text| text.parse().ok()).unwrap_or(usual)
    }

    /// How many items a page is to have at most.
    pub fn limit(&self) -> Result<usize, ApiError> {
        let Some(text) = self.get("limit") else { return Ok(USUAL_LIMIT) };
        let number = text.parse().ok().filter(|number| (1..=MAX_LIMIT).contains(number));
        let sentence = || format!("is a number from 1 to {MAX_LIMIT}");
        number.ok_or_else(|| ApiError::BadParameter { name: "limit", sentence: sentence() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Parameter; 3] = [
        LIMIT[0],
        Parameter::required("action", "pull", "What."),
        Parameter::optional("outcome", Kind::Word(&["allowed", "refused"]), "How it ended."),
    ];

    fn said(text: &str) -> String {
        match Query::parse(text, &KNOWN).and_then(|query| query.limit()) {
            Ok(limit) => limit.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_is_unknown_missing_or_twice_there_is_refused_by_name() {
        assert_eq!(said("action=pull"), "100");
        assert_eq!(said("action=a%20b&limit=7"), "7");
        for (text, part) in [
            ("", "`action` must be there"),
            ("action=pull&actor=x", "`actor`; it takes limit, action, outcome"),
            ("action=a&action=a", "`action` came twice"),
            ("action=%00", "`action` holds a control character"),
            ("action=a&outcome=maybe", "`outcome` is one of allowed, refused"),
            ("action=a&limit=0", "`limit` is a number from 1 to 1000"),
            ("action=a&limit=1001", "from 1 to 1000"),
            ("action=a&limit=-1", "from 1 to 1000"),
        ] {
            assert!(said(text).contains(part), "{text}: {}", said(text));
        }
    }
}
