//! The `tenon_tokenizer_*` entries.

use std::collections::HashSet;
use std::ptr;

use tokenizers::models::bpe::BPE;
use tokenizers::{
    DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, Tokenizer, TokenizerImpl,
};

use crate::abi::{enter, invalid, quiet, slice, text, Bytes, Ids, Outcome, Status};

pub struct Handle {
    tokenizer: Tokenizer,
    special: HashSet<u32>,
    vocab_size: i32,
}

/// Nearly every tokenizer is a BPE, whose model reads its text directly; the general reader makes three trees of it on
/// the way, which takes three times as long. What the first cannot read is for the second to read or to complain about.
fn parse(json: &str) -> tokenizers::Result<Tokenizer> {
    type Bpe = TokenizerImpl<BPE, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;
    match serde_json::from_str::<Bpe>(json) {
        Ok(tokenizer) => Ok(tokenizer.into()),
        Err(_) => json.parse(),
    }
}

fn create(json: &str) -> Outcome<Handle> {
    // A server has its own threads; the crate must not start a pool beside them.
    tokenizers::utils::parallelism::set_parallelism(false);
    let mut tokenizer = parse(json).map_err(|e| invalid(format!("{e}")))?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|e| invalid(format!("{e}")))?;
    let added = tokenizer.get_added_tokens_decoder();
    let special = added.iter().filter(|(_, token)| token.special).map(|(id, _)| *id).collect();
    let vocab_size = i32::try_from(tokenizer.get_vocab_size(true))
        .map_err(|_| invalid("the vocabulary has more than 2147483647 tokens"))?;
    Ok(Handle { tokenizer, special, vocab_size })
}

/// Safety: as the header says.
#[no_mangle]
pub unsafe extern "C" fn tenon_tokenizer_create(
    json: *const u8,
    json_size: usize,
    out: *mut *mut Handle,
    error: *mut Bytes,
) -> Status {
    enter(out, ptr::null_mut(), error, || {
        create(text(json, json_size, "tokenizer.json")?).map(|handle| Box::into_raw(Box::new(handle)))
    })
}

/// Safety: `handle` came from `tenon_tokenizer_create`, or is null, and is freed once.
#[no_mangle]
pub unsafe extern "C" fn tenon_tokenizer_free(handle: *mut Handle) {
    if !handle.is_null() {
        quiet((), || drop(Box::from_raw(handle)));
    }
}

/// Safety: as the header says.
#[no_mangle]
pub unsafe extern "C" fn tenon_tokenizer_encode(
    handle: *const Handle,
    input: *const u8,
    input_size: usize,
    add_special_tokens: bool,
    out: *mut Ids,
    error: *mut Bytes,
) -> Status {
    enter(out, Ids::empty(), error, || {
        let input = text(input, input_size, "the text")?;
        // encode_fast leaves the offsets out.
        let encoding = (*handle).tokenizer.encode_fast(input, add_special_tokens);
        let encoding = encoding.map_err(|e| invalid(format!("{e}")))?;
        let ids = encoding.get_ids().iter().map(|&id| i32::try_from(id).map_err(|_| invalid("a token id over 2^31")));
        Ok(Ids::from_vec(ids.collect::<Outcome<Vec<i32>>>()?))
    })
}

/// Safety: as the header says.
#[no_mangle]
pub unsafe extern "C" fn tenon_tokenizer_decode(
    handle: *const Handle,
    ids: *const i32,
    count: usize,
    skip_special_tokens: bool,
    out: *mut Bytes,
    error: *mut Bytes,
) -> Status {
    enter(out, Bytes::empty(), error, || {
        let ids = slice(ids, count).iter();
        let ids = ids.map(|&id| u32::try_from(id).map_err(|_| invalid(format!("token id {id} is negative"))));
        let ids = ids.collect::<Outcome<Vec<u32>>>()?;
        let decoded = (*handle).tokenizer.decode(&ids, skip_special_tokens).map_err(|e| invalid(format!("{e}")))?;
        Ok(Bytes::from_vec(decoded.into_bytes()))
    })
}

/// Safety: as the header says.
#[no_mangle]
pub unsafe extern "C" fn tenon_tokenizer_token_to_id(handle: *const Handle, token: *const u8, size: usize) -> i32 {
    quiet(-1, || {
        let Ok(token) = std::str::from_utf8(slice(token, size)) else { return -1 };
        let id = (*handle).tokenizer.token_to_id(token);
        id.and_then(|id| i32::try_from(id).ok()).unwrap_or(-1)
    })
}

/// Safety: as the header says.
#[no_mangle]
pub unsafe extern "C" fn tenon_tokenizer_id_to_token(handle: *const Handle, id: i32, out: *mut Bytes) -> bool {
    let token = quiet(None, || u32::try_from(id).ok().and_then(|id| (*handle).tokenizer.id_to_token(id)));
    let found = token.is_some();
    out.write(Bytes::from_vec(token.unwrap_or_default().into_bytes()));
    found
}

/// Safety: as the header says.
#[no_mangle]
pub unsafe extern "C" fn tenon_tokenizer_is_special(handle: *const Handle, id: i32) -> bool {
    u32::try_from(id).is_ok_and(|id| (*handle).special.contains(&id))
}

/// Safety: as the header says.
#[no_mangle]
pub unsafe extern "C" fn tenon_tokenizer_vocab_size(handle: *const Handle) -> i32 {
    (*handle).vocab_size
}
