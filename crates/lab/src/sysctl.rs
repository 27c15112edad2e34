//! The kubelet sets three settings of the whole kernel; the lab puts them back.

use std::fs;

use crate::Paths;
use crate::error::Result;

const SETTINGS: [&str; 3] = ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops"];
const FILE: &str = "run/sysctls.json";

pub(crate) fn save(paths: &Paths) -> Result<()> {
    let values: Vec<_> = SETTINGS.map(|s| (s, fs::read_to_string(format!("/proc/sys/{s}")).unwrap_or_default())).into();
    paths.write(FILE, &serde_json::json!(values).to_string())
}

pub(crate) fn restore(paths: &Paths) {
    let saved = fs::read(paths.join(FILE)).unwrap_or_default();
    for (setting, value) in serde_json::from_slice::<Vec<(String, String)>>(&saved).unwrap_or_default() {
        let file = format!("/proc/sys/{setting}");
        if SETTINGS.contains(&setting.as_str()) && fs::read_to_string(&file).is_ok_and(|now| now != value) {
            // Where /proc/sys is read-only the kubelet could not change it either.
            let _ = fs::write(file, value);
        }
    }
}
