//! Test doubles that several tests share.
