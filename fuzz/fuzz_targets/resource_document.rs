//! Any bytes are read as a document or refused, without a panic, and what is
//! read is written so that it reads back as the same value.
#![no_main]

use std::fmt::Debug;

use gridmart_schemas::resource::{
    Document,
    ae_doc::AeDocument,
    ce_doc::CeDocument,
    host::{ComputeHost, StorageHost},
    se_doc::SeDocument,
};
use libfuzzer_sys::fuzz_target;

fn read<T: Document + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(document) = T::from_xml(bytes, "fuzz.xml") {
        let written = document.to_xml();
        let again = T::from_xml(written.as_bytes(), "written.xml");
        assert_eq!(again.as_ref(), Ok(&document), "{written}");
    }
}

fuzz_target!(|bytes: &[u8]| {
    read::<AeDocument>(bytes);
    read::<CeDocument>(bytes);
    read::<ComputeHost>(bytes);
    read::<SeDocument>(bytes);
    read::<StorageHost>(bytes);
});
