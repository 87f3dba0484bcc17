//! The ACME service as commands see it: `/operator/…` over mutual TLS.

use acme::operator::{Page, PageQuery};
use model::Role;
use reqwest::{Method, RequestBuilder};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cli::service::{ServiceClient, Which};
use crate::config::Config;
use crate::failure::Failure;

/// The service.
const ACME: Which = Which {
    role: Role::ServiceAcme,
    title: "the ACME service",
    section: "[acme.mesh]",
};

/// Items asked for at a time.
const PAGE: usize = 500;

/// A connection to the ACME service as the configured identity.
#[derive(Debug)]
pub(super) struct AcmeOperator {
    /// The connection.
    service: ServiceClient,
}

impl AcmeOperator {
    /// Reads the identity and prepares the client; connects with the first call.
    ///
    /// # Errors
    ///
    /// When the identity, or what it trusts, is not there or cannot be used, or
    /// the service has no listener with client certificates.
    pub(super) fn connect(config: &Config) -> Result<Self, Failure> {
        let url = config.acme_url().ok_or_else(|| {
            Failure::new("find the ACME service's listener with client certificates")
                .next("operators reach it by that listener alone: give [acme.mesh] an address")
        })?;
        Ok(Self {
            service: ServiceClient::connect(config, ACME, &url)?,
        })
    }

    /// Reads one thing.
    ///
    /// # Errors
    ///
    /// When the service cannot be reached, refuses, or knows no such thing.
    pub(super) fn show<T: DeserializeOwned>(
        &self,
        tried: &str,
        path: &[&str],
    ) -> Result<T, Failure> {
        self.ask(tried, self.request(Method::GET, path))
    }

    /// Reads a listing, page after page, until `most` items or its end; tells
    /// whether there are more.
    ///
    /// # Errors
    ///
    /// When the service cannot be reached or refuses.
    pub(super) fn list<T: DeserializeOwned>(
        &self,
        tried: &str,
        path: &[&str],
        account: Option<&str>,
        most: usize,
    ) -> Result<(Vec<T>, bool), Failure> {
        let mut items = Vec::new();
        let mut after = None;
        loop {
            let query = PageQuery {
                after: after.take(),
                limit: Some((most - items.len()).min(PAGE)),
                account: account.map(str::to_owned),
            };
            let page: Page<T> = self.ask(tried, self.request(Method::GET, path).query(&query))?;
            items.extend(page.items);
            match page.next {
                None => return Ok((items, false)),
                Some(_) if items.len() >= most => return Ok((items, true)),
                next => after = next,
            }
        }
    }

    /// Changes something.
    ///
    /// # Errors
    ///
    /// When the service cannot be reached or refuses.
    pub(super) fn change<T: DeserializeOwned>(
        &self,
        tried: &str,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.ask(tried, self.request(Method::POST, path).json(body))
    }

    /// Begins a request below `/operator`.
    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let path = std::iter::once("operator").chain(path.iter().copied());
        self.service.request(method, path)
    }

    /// Asks, and reads the answer.
    fn ask<T: DeserializeOwned>(&self, tried: &str, request: RequestBuilder) -> Result<T, Failure> {
        self.service.ask(tried, request)
    }
}
