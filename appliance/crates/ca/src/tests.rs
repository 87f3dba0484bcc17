//! The CA whole: real keystores and stores in temporary directories, faults
//! injected at the two seams, real connections where the API is meant.

mod api;
mod blocked;
mod ceremony;
mod crl;
mod ct;
mod faults;
mod faulty;
mod forge;
mod installation;
mod ocsp;
mod parallel;
mod problems;
mod published;
mod requests;
mod revoke;
mod service;
mod token;
