//! Throwaway PKCS#11 tokens for tests.
