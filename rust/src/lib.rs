//! Hugging Face tokenizers, minijinja and llguidance behind the C ABI of `include/tenon_rust.h`, which states who owns what.

mod abi;
mod chat;
mod grammar;
mod python;
mod strftime;
mod tags;
mod tokenizer;
