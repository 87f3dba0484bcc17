//! The CA whole: real keystores and stores in temporary directories, faults
//! injected at the two seams, real connections where the API is meant.

mod api;
mod blocked;
mod ceremony;
mod faults;
mod faulty;
mod installation;
mod ocsp;
mod parallel;
mod problems;
mod requests;
mod service;
mod token;
