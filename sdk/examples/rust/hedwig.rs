// SPDX-License-Identifier: Apache-2.0
//! What a filter needs of hedwig/*.h, written by hand: the C headers say what each thing promises. Growing structs may
//! be longer on the host's side than here, never shorter than at ABI 1.0; sizes are checked while compiling.
#![allow(dead_code)]

use std::mem::size_of;
use std::os::raw::{c_char, c_void};

pub const OK: i32 = 0;
pub const E_INTERNAL: i32 = -15;

pub const CONTINUE: i32 = 0;
pub const REJECT: i32 = 2;
pub const TEMPFAIL: i32 = 3;

pub const EDIT_ADD_HEADER: i32 = 1;

pub const CONFIG_STRINGS: i32 = 8;
pub const CONFIG_REQUIRED: u32 = 1;
pub const PROVIDER_ISOLATABLE: u32 = 2;

pub const HOST_CONFIG: &[u8] = b"hedwig.host.config/1\0";

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Str {
    pub data: *const u8,
    pub size: usize,
}

impl Str {
    pub const EMPTY: Str = Str { data: std::ptr::null(), size: 0 };
    pub fn of(text: &str) -> Str {
        Str { data: text.as_ptr(), size: text.len() }
    }
    /// Borrowed like what it came from. Text of peers need not be UTF-8.
    pub unsafe fn text(&self) -> String {
        if self.data.is_null() {
            return String::new();
        }
        String::from_utf8_lossy(std::slice::from_raw_parts(self.data, self.size)).into_owned()
    }
}

#[repr(C)]
pub struct Error {
    pub status: i32,
    pub os_errno: i32,
    pub location: [u8; 120],
    pub message: [u8; 384],
}

impl Error {
    pub fn new(status: i32, text: &str) -> Error {
        let mut made = Error { status, os_errno: 0, location: [0; 120], message: [0; 384] };
        let size = text.len().min(383);
        made.message[..size].copy_from_slice(&text.as_bytes()[..size]);
        made
    }
}

#[repr(C)]
pub struct Completion {
    pub op: *mut c_void,
    pub status: i32,
    pub reserved: u32,
    pub result: *const c_void,
    pub error: *const Error,
}

/// The core table as far as it is called here; more follows in memory.
#[repr(C)]
pub struct Host {
    pub struct_size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub host_data: *mut c_void,
    pub product: *const c_char,
    pub version: *const c_char,
    pub get_interface: unsafe extern "C" fn(*const Host, *const c_char) -> *const c_void,
    pub log_level: unsafe extern "C" fn(*const Host) -> i32,
    pub log: unsafe extern "C" fn(*const Host, *const c_void),
    pub complete: unsafe extern "C" fn(*const Host, *const Completion, usize),
}

#[repr(C)]
pub struct HostConfig {
    pub struct_size: u32,
    pub reserved: u32,
    pub is_set: unsafe extern "C" fn(*const c_void, *const c_char) -> i32,
    pub get_string: unsafe extern "C" fn(*const c_void, *const c_char) -> Str,
    pub get_integer: unsafe extern "C" fn(*const c_void, *const c_char) -> i64,
    pub get_boolean: unsafe extern "C" fn(*const c_void, *const c_char) -> i32,
    pub get_count: unsafe extern "C" fn(*const c_void, *const c_char) -> usize,
    pub get_string_at: unsafe extern "C" fn(*const c_void, *const c_char, usize) -> Str,
    pub get_table_at: unsafe extern "C" fn(*const c_void, *const c_char, usize) -> *const c_void,
}

#[repr(C)]
pub struct ConfigKey {
    pub struct_size: u32,
    pub kind: i32,
    pub name: *const c_char,
    pub help: *const c_char,
    pub flags: u32,
    pub reserved: u32,
    pub default_value: *const c_char,
    pub minimum: i64,
    pub maximum: i64,
    pub choices: *const *const c_char,
    pub nested: *const ConfigSchema,
}

#[repr(C)]
pub struct ConfigSchema {
    pub struct_size: u32,
    pub key_count: u32,
    pub keys: *const *const ConfigKey,
}

#[repr(C)]
pub struct Edit {
    pub struct_size: u32,
    pub kind: i32,
    pub name: Str,
    pub value: Str,
    pub index: u32,
    pub reserved: u32,
    pub slices: *const c_void,
    pub slice_count: usize,
}

#[repr(C)]
pub struct Verdict {
    pub struct_size: u32,
    pub action: i32,
    pub reply_code: u32,
    pub reserved: u32,
    pub enhanced_code: Str,
    pub reply_text: Str,
    pub edits: *const *const Edit,
    pub edit_count: usize,
}

#[repr(C)]
pub struct Address {
    pub struct_size: u32,
    pub reserved: u32,
    pub address: Str,
    pub parameters: *const c_void,
    pub parameter_count: usize,
}

pub type Hook<View> = Option<unsafe extern "C" fn(*mut c_void, *mut c_void, *const View)>;

#[repr(C)]
pub struct Filter {
    pub struct_size: u32,
    pub reserved: u32,
    pub open: Option<unsafe extern "C" fn(*mut c_void, *const c_void, *mut *mut c_void) -> i32>,
    pub close: Option<unsafe extern "C" fn(*mut c_void, *mut c_void)>,
    pub on_connect: Hook<c_void>,
    pub on_helo: Hook<c_void>,
    pub on_auth: Hook<c_void>,
    pub on_mail: Hook<Address>,
    pub on_recipient: Hook<Address>,
    pub on_header: Hook<c_void>,
    pub on_body: Hook<c_void>,
    pub on_end: Hook<c_void>,
    pub on_reset: Option<unsafe extern "C" fn(*mut c_void)>,
    pub on_delivery: Hook<c_void>,
}

#[repr(C)]
pub struct Provider {
    pub struct_size: u32,
    pub flags: u32,
    pub interface_id: *const c_char,
    pub name: *const c_char,
    pub summary: *const c_char,
    pub schema: *const ConfigSchema,
    pub interface: *const c_void,
    pub validate: Option<unsafe extern "C" fn(*const Host, *const c_void, *mut Error) -> i32>,
    pub create: unsafe extern "C" fn(*const Host, *const c_void, *mut *mut c_void, *mut Error) -> i32,
    pub start: unsafe extern "C" fn(*mut c_void, *mut c_void),
    pub reload: Option<unsafe extern "C" fn(*mut c_void, *mut c_void, *const c_void)>,
    pub cancel: Option<unsafe extern "C" fn(*mut c_void, *mut c_void)>,
    pub stop: unsafe extern "C" fn(*mut c_void, *mut c_void),
    pub destroy: unsafe extern "C" fn(*mut c_void),
    pub get_extension: Option<unsafe extern "C" fn(*mut c_void, *const c_char) -> *const c_void>,
}

#[repr(C)]
pub struct Plugin {
    pub struct_size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub needs_minor: u16,
    pub reserved: u16,
    pub provider_count: u32,
    pub providers: *const *const Provider,
    pub id: *const c_char,
    pub version: *const c_char,
    pub vendor: *const c_char,
    pub license: *const c_char,
    pub url: *const c_char,
}

#[repr(C, align(4))]
pub struct Note {
    pub name_size: u32,
    pub desc_size: u32,
    pub kind: u32,
    pub name: [u8; 8],
    pub abi_major: u16,
    pub abi_minor: u16,
    pub needs_minor: u16,
    pub reserved: u16,
    pub id: [u8; 64],
    pub version: [u8; 32],
}

/// `text` with zeros behind it.
pub const fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut out = [0; N];
    let mut i = 0;
    while i < text.len() {
        out[i] = text.as_bytes()[i];
        i += 1;
    }
    out
}

/// Constant tables hold pointers to constant data only.
#[repr(transparent)]
pub struct Constant<T>(pub T);
unsafe impl<T> Sync for Constant<T> {}

const _: () = assert!(size_of::<Error>() == 512);
const _: () = assert!(size_of::<Completion>() == 32);
const _: () = assert!(size_of::<ConfigKey>() == 72);
const _: () = assert!(size_of::<Edit>() == 64);
const _: () = assert!(size_of::<Verdict>() == 64);
const _: () = assert!(size_of::<Filter>() == 104);
const _: () = assert!(size_of::<Provider>() == 112);
const _: () = assert!(size_of::<Plugin>() == 64);
const _: () = assert!(size_of::<Note>() == 124);
