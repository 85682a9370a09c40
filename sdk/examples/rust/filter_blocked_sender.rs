// SPDX-License-Identifier: Apache-2.0
//! A whole plugin in Rust, without crates: refuses senders of the domains listed, and marks the others' messages.
//!
//!   rustc -O --edition 2021 --crate-type cdylib filter_blocked_sender.rs -o filter-blocked-sender.so

mod hedwig;

use hedwig::*;
use std::os::raw::{c_char, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};

struct Instance {
    host: *const Host,
    domains: Vec<String>,
}

macro_rules! text {
    ($text:literal) => {
        concat!($text, "\0").as_ptr() as *const c_char
    };
}

impl Instance {
    unsafe fn answer(&self, op: *mut c_void, verdict: Option<&Verdict>) {
        let result = verdict.map_or(std::ptr::null(), |v| v as *const Verdict as *const c_void);
        let done = Completion { op, status: OK, reserved: 0, result, error: std::ptr::null() };
        ((*self.host).complete)(self.host, &done, 1);
    }

    /// No panic may cross into the host: one that happens is this hook's error.
    unsafe fn guarded(&self, op: *mut c_void, hook: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(hook)).is_err() {
            let error = Error::new(E_INTERNAL, "the filter panicked");
            let done = Completion { op, status: E_INTERNAL, reserved: 0, result: std::ptr::null(), error: &error };
            ((*self.host).complete)(self.host, &done, 1);
        }
    }

    fn blocks(&self, sender: &str) -> bool {
        let domain = sender.rsplit('@').next().unwrap_or("").to_ascii_lowercase();
        self.domains.iter().any(|one| *one == domain || domain.ends_with(&format!(".{one}")))
    }
}

unsafe extern "C" fn on_mail(state: *mut c_void, op: *mut c_void, sender: *const Address) {
    let me = &*(state as *const Instance);
    me.guarded(op, || {
        let refuse = Verdict {
            struct_size: std::mem::size_of::<Verdict>() as u32,
            action: REJECT,
            reply_code: 0,
            reserved: 0,
            enhanced_code: Str::of("5.7.1"),
            reply_text: Str::of("no mail from this domain"),
            edits: std::ptr::null(),
            edit_count: 0,
        };
        let blocked = me.blocks(&(*sender).address.text());
        me.answer(op, if blocked { Some(&refuse) } else { None });
    });
}

unsafe extern "C" fn on_end(state: *mut c_void, op: *mut c_void, _message: *const c_void) {
    let me = &*(state as *const Instance);
    me.guarded(op, || {
        let value = format!("passed {} domains", me.domains.len());
        let mark = Edit {
            struct_size: std::mem::size_of::<Edit>() as u32,
            kind: EDIT_ADD_HEADER,
            name: Str::of("X-Sender-Check"),
            value: Str::of(&value),
            index: 0,
            reserved: 0,
            slices: std::ptr::null(),
            slice_count: 0,
        };
        let edits = [&mark as *const Edit];
        let verdict = Verdict {
            struct_size: std::mem::size_of::<Verdict>() as u32,
            action: CONTINUE,
            reply_code: 0,
            reserved: 0,
            enhanced_code: Str::EMPTY,
            reply_text: Str::EMPTY,
            edits: edits.as_ptr(),
            edit_count: 1,
        };
        me.answer(op, Some(&verdict));
    });
}

unsafe extern "C" fn create(host: *const Host, config: *const c_void, out: *mut *mut c_void, _: *mut Error) -> i32 {
    let table = ((*host).get_interface)(host, HOST_CONFIG.as_ptr() as *const c_char) as *const HostConfig;
    if table.is_null() {
        return E_INTERNAL;
    }
    let key = text!("domains");
    let domains = (0..((*table).get_count)(config, key))
        .map(|i| ((*table).get_string_at)(config, key, i).text().to_ascii_lowercase())
        .collect();
    *out = Box::into_raw(Box::new(Instance { host, domains })) as *mut c_void;
    OK
}

unsafe extern "C" fn at_once(instance: *mut c_void, op: *mut c_void) {
    (*(instance as *const Instance)).answer(op, None);
}

unsafe extern "C" fn destroy(instance: *mut c_void) {
    drop(Box::from_raw(instance as *mut Instance));
}

static DOMAINS: Constant<ConfigKey> = Constant(ConfigKey {
    struct_size: std::mem::size_of::<ConfigKey>() as u32,
    kind: CONFIG_STRINGS,
    name: text!("domains"),
    help: text!("Domains whose senders are refused, with what is below them."),
    flags: CONFIG_REQUIRED,
    reserved: 0,
    default_value: std::ptr::null(),
    minimum: 0,
    maximum: 0,
    choices: std::ptr::null(),
    nested: std::ptr::null(),
});
static KEYS: Constant<[&Constant<ConfigKey>; 1]> = Constant([&DOMAINS]);
static SCHEMA: Constant<ConfigSchema> = Constant(ConfigSchema {
    struct_size: std::mem::size_of::<ConfigSchema>() as u32,
    key_count: 1,
    keys: &KEYS as *const _ as *const *const ConfigKey,
});

static TABLE: Constant<Filter> = Constant(Filter {
    struct_size: std::mem::size_of::<Filter>() as u32,
    reserved: 0,
    open: None, // no memory per session: `state` is the instance
    close: None,
    on_connect: None,
    on_helo: None,
    on_auth: None,
    on_mail: Some(on_mail),
    on_recipient: None,
    on_header: None,
    on_body: None,
    on_end: Some(on_end),
    on_reset: None,
    on_delivery: None,
});

static PROVIDER: Constant<Provider> = Constant(Provider {
    struct_size: std::mem::size_of::<Provider>() as u32,
    flags: PROVIDER_ISOLATABLE,
    interface_id: text!("hedwig.filter/1"),
    name: text!("blocked-sender"),
    summary: text!("Refuses senders of listed domains."),
    schema: &SCHEMA as *const _ as *const ConfigSchema,
    interface: &TABLE as *const _ as *const c_void,
    validate: None,
    create,
    start: at_once,
    reload: None,
    cancel: None,
    stop: at_once,
    destroy,
    get_extension: None,
});
static PROVIDERS: Constant<[&Constant<Provider>; 1]> = Constant([&PROVIDER]);

static PLUGIN: Constant<Plugin> = Constant(Plugin {
    struct_size: std::mem::size_of::<Plugin>() as u32,
    abi_major: 1,
    abi_minor: 0,
    needs_minor: 0,
    reserved: 0,
    provider_count: 1,
    providers: &PROVIDERS as *const _ as *const *const Provider,
    id: text!("org.hedwig.example-blocked-sender"),
    version: text!("1.0.0"),
    vendor: text!("Hedwig"),
    license: text!("Apache-2.0"),
    url: text!(""),
});

#[used]
#[link_section = ".note.hedwig"]
static NOTE: Note = Note {
    name_size: 7,
    desc_size: 104,
    kind: 1,
    name: padded("Hedwig"),
    abi_major: 1,
    abi_minor: 0,
    needs_minor: 0,
    reserved: 0,
    id: padded("org.hedwig.example-blocked-sender"),
    version: padded("1.0.0"),
};

#[no_mangle]
pub extern "C" fn hedwig_plugin_v1(_host: *const Host) -> *const Plugin {
    &PLUGIN.0
}
