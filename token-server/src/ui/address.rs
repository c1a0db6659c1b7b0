//! Every address of the pages.
//!
//! *Invariant:* an address that changes something takes POST only, and a form that it was shown in.

use actix_web::{Route, web};
use shared::server::fallback::method_not_allowed;

use super::{
    account, app, back_channel, device, factors, logins, passkeys, prove, provider, render, second_factor,
    sign_in, sign_out, tokens,
};

/// An address of the pages, with its method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// Leads to the account.
    Root,
    /// How the pages look.
    Style,
    /// What talks to passkeys.
    Script,
    /// Asks who somebody is.
    SignInPage,
    /// Takes a name and a password.
    SignIn,
    /// Asks for a second factor.
    SecondFactorPage,
    /// Takes it.
    SecondFactor,
    /// Sends a browser to a provider.
    SignInAt,
    /// Takes it back.
    Callback,
    /// Is told by a provider that somebody has signed out there.
    BackChannel,
    /// Shows who somebody is.
    Account,
    /// Sends a browser to a provider to say that somebody is somebody there as well.
    Link,
    /// Forgets that.
    Unlink,
    /// Sets another password.
    ChangePassword,
    /// Asks to show again who one is.
    ProvePage,
    /// Takes the answer.
    Prove,
    /// Shows second factors.
    Factors,
    /// Begins with an app that shows codes.
    BeginApp,
    /// Takes the first code of it.
    ConfirmApp,
    /// Takes it away.
    RemoveApp,
    /// Makes recovery codes.
    MakeRecoveryCodes,
    /// Adds a passkey.
    AddPasskey,
    /// Takes one away.
    RemovePasskey,
    /// Shows personal access tokens.
    Tokens,
    /// Makes one.
    AddToken,
    /// Revokes one.
    RevokeToken,
    /// Shows kept logins and browsers.
    Logins,
    /// Ends one.
    EndLogin,
    /// Asks about a program that waits to be allowed.
    Device,
    /// Allows it, or not.
    DecideDevice,
    /// Makes a code that takes the place of the password once.
    MakeCode,
    /// Signs out.
    SignOut,
}

impl Address {
    /// Every address.
    pub const ALL: [Self; 32] = [
        Self::Root,
        Self::Style,
        Self::Script,
        Self::SignInPage,
        Self::SignIn,
        Self::SecondFactorPage,
        Self::SecondFactor,
        Self::SignInAt,
        Self::Callback,
        Self::BackChannel,
        Self::Account,
        Self::Link,
        Self::Unlink,
        Self::ChangePassword,
        Self::ProvePage,
        Self::Prove,
        Self::Factors,
        Self::BeginApp,
        Self::ConfirmApp,
        Self::RemoveApp,
        Self::MakeRecoveryCodes,
        Self::AddPasskey,
        Self::RemovePasskey,
        Self::Tokens,
        Self::AddToken,
        Self::RevokeToken,
        Self::Logins,
        Self::EndLogin,
        Self::Device,
        Self::DecideDevice,
        Self::MakeCode,
        Self::SignOut,
    ];

    /// Its method.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Root
            | Self::Style
            | Self::Script
            | Self::SignInPage
            | Self::SecondFactorPage
            | Self::ProvePage
            | Self::Factors
            | Self::SignInAt
            | Self::Callback
            | Self::Account
            | Self::Link
            | Self::Tokens
            | Self::Logins
            | Self::Device => "GET",
            Self::SignIn
            | Self::SecondFactor
            | Self::ChangePassword
            | Self::Prove
            | Self::BeginApp
            | Self::ConfirmApp
            | Self::RemoveApp
            | Self::MakeRecoveryCodes
            | Self::AddPasskey
            | Self::RemovePasskey
            | Self::BackChannel
            | Self::Unlink
            | Self::AddToken
            | Self::RevokeToken
            | Self::EndLogin
            | Self::DecideDevice
            | Self::MakeCode
            | Self::SignOut => "POST",
        }
    }

    /// Its path.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Root => "/",
            Self::Style => "/assets/style.css",
            Self::Script => "/assets/passkeys.js",
            Self::SignInPage | Self::SignIn => "/signin",
            Self::SecondFactorPage | Self::SecondFactor => second_factor::ADDRESS,
            Self::ChangePassword => "/account/password",
            Self::ProvePage | Self::Prove => prove::ADDRESS,
            Self::Factors => "/account/factors",
            Self::BeginApp => "/account/factors/app",
            Self::ConfirmApp => "/account/factors/app/confirm",
            Self::RemoveApp => "/account/factors/app/remove",
            Self::MakeRecoveryCodes => "/account/factors/codes",
            Self::AddPasskey => "/account/factors/passkeys",
            Self::RemovePasskey => "/account/factors/passkeys/remove",
            Self::SignInAt => "/signin/{provider}",
            Self::Callback => "/signin/{provider}/callback",
            Self::BackChannel => "/signin/{provider}/logout",
            Self::Account => "/account",
            Self::Link => "/account/link/{provider}",
            Self::Unlink => "/account/unlink",
            Self::Tokens | Self::AddToken => "/account/tokens",
            Self::RevokeToken => "/account/tokens/revoke",
            Self::Logins => "/account/logins",
            Self::EndLogin => "/account/logins/end",
            Self::Device | Self::DecideDevice => "/device",
            Self::MakeCode => "/device/code",
            Self::SignOut => "/signout",
        }
    }
}

/// Routes for all of them.
pub fn configure(config: &mut web::ServiceConfig) {
    let get = |config: &mut web::ServiceConfig, address: Address, route: Route| {
        let resource = web::resource(address.path());
        config.service(resource.route(route).default_service(method_not_allowed("GET")));
    };
    let post = |config: &mut web::ServiceConfig, address: Address, route: Route| {
        let resource = web::resource(address.path());
        config.service(resource.route(route).default_service(method_not_allowed("POST")));
    };
    get(config, Address::Root, web::get().to(account::root));
    get(config, Address::Style, web::get().to(render::style));
    config.service(
        web::resource(Address::SignIn.path())
            .route(web::get().to(sign_in::page))
            .route(web::post().to(sign_in::sign_in))
            .default_service(method_not_allowed("GET, POST")),
    );
    get(config, Address::Script, web::get().to(render::script));
    let asked = |config: &mut web::ServiceConfig, address: Address, page: Route, taken: Route| {
        let resource = web::resource(address.path()).route(page).route(taken);
        config.service(resource.default_service(method_not_allowed("GET, POST")));
    };
    let (page, taken) = (web::get().to(second_factor::page), web::post().to(second_factor::take));
    asked(config, Address::SecondFactor, page, taken);
    asked(config, Address::Prove, web::get().to(prove::page), web::post().to(prove::take));
    post(config, Address::ChangePassword, web::post().to(account::change_password));
    get(config, Address::Factors, web::get().to(factors::page));
    post(config, Address::BeginApp, web::post().to(app::begin));
    post(config, Address::ConfirmApp, web::post().to(app::confirm));
    post(config, Address::RemoveApp, web::post().to(app::remove));
    post(config, Address::MakeRecoveryCodes, web::post().to(factors::make_codes));
    post(config, Address::AddPasskey, web::post().to(passkeys::add));
    post(config, Address::RemovePasskey, web::post().to(passkeys::remove));
    get(config, Address::SignInAt, web::get().to(provider::send));
    get(config, Address::Callback, web::get().to(provider::take_back));
    post(config, Address::BackChannel, web::post().to(back_channel::signed_out));
    get(config, Address::Account, web::get().to(account::page));
    get(config, Address::Link, web::get().to(provider::send_to_link));
    post(config, Address::Unlink, web::post().to(account::unlink));
    config.service(
        web::resource(Address::Tokens.path())
            .route(web::get().to(tokens::page))
            .route(web::post().to(tokens::add))
            .default_service(method_not_allowed("GET, POST")),
    );
    post(config, Address::RevokeToken, web::post().to(tokens::revoke));
    get(config, Address::Logins, web::get().to(logins::page));
    post(config, Address::EndLogin, web::post().to(logins::end));
    config.service(
        web::resource(Address::Device.path())
            .route(web::get().to(device::page))
            .route(web::post().to(device::decide))
            .default_service(method_not_allowed("GET, POST")),
    );
    post(config, Address::MakeCode, web::post().to(device::make_code));
    post(config, Address::SignOut, web::post().to(sign_out::sign_out));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_lists_every_address() {
        let manual = include_str!("../../README.md");
        for address in Address::ALL {
            let row = format!("| `{} {}` |", address.method(), address.path());
            assert!(manual.contains(&row), "{row}");
        }
    }
}
